// From a disk no page may read another one: extracts of what is found come from the texts that the search page loads.
if (location.protocol === "file:") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
  const LENGTH = 240;

  // What matches a word of the query in any of its forms, with or without a hyphen inside.
  const pattern = (word) => {
    let stem = new Stemmer().stemWord(word.toLowerCase());
    while (!word.toLowerCase().startsWith(stem)) stem = stem.slice(0, -1);
    return [...stem].map((letter) => _escapeRegExp(letter)).join("[-\u2010\u2011]?");
  };
  const addExtract = (link, words) => {
    const page = new URL(link.href).pathname.split("/");
    const text = searchTexts[Object.keys(searchTexts).find((name) => page.join("/").endsWith(`/${name}.html`))];
    if (!text || !words.length || link.parentElement.childElementCount > 1) return; // a description is there
    const found = Math.max(0, text.search(new RegExp(words.map(pattern).join("|"), "i")));
    const start = found < LENGTH / 2 ? 0 : text.indexOf(" ", found - LENGTH / 2) + 1;
    const extract = document.createElement("p");
    extract.className = "context";
    extract.textContent = `${start ? "… " : ""}${text.slice(start, start + LENGTH).trim()} …`;
    link.after(extract);
  };
  document.addEventListener("DOMContentLoaded", () => {
    const results = document.querySelector("#search-results");
    if (!results || typeof searchTexts === "undefined") return;
    const query = new URLSearchParams(location.search).get("q") ?? "";
    new MutationObserver(() => {
      const words = splitQuery(query).filter((word) => !stopwords.includes(word.toLowerCase()));
      for (const link of results.querySelectorAll("li > a:only-child")) addExtract(link, words);
    }).observe(results, { childList: true, subtree: true });
  });
}
