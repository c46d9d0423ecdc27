// The filter of the claims page. Without this script the form stays hidden and every row is there.
// A filter that leaves rows out opens the boxes that the others are folded in.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector(".claims-filter");
  if (!form) return;
  const [words, count] = [form.querySelector("[type=search]"), form.querySelector("output")];
  const plain = (text) => text.toLowerCase().replace(/[-\u2010\u2011]/g, ""); // down-sampling: downsampling
  const tables = [...document.querySelectorAll(".claims")].map((box) => ({ box, chapters: chaptersOf(box) }));
  const rows = tables.flatMap(({ chapters }) => chapters.flatMap((chapter) => chapter.rows));

  function chaptersOf(box) {
    const chapters = [];
    for (const row of box.querySelectorAll("tbody tr")) {
      if (row.classList.contains("chapter")) chapters.push({ head: row, rows: [] });
      else {
        const { head, rows } = chapters.at(-1);
        rows.push({ row, text: plain(`${head.textContent} ${row.textContent}`) });
      }
    }
    return chapters;
  }

  function update() {
    const verdicts = [...form.querySelectorAll(":checked")].map((box) => box.value);
    const wanted = plain(words.value).split(/\s+/);
    for (const { row, text } of rows)
      row.hidden = !verdicts.some((verdict) => row.classList.contains(verdict)) || !wanted.every((word) => text.includes(word));
    const gone = ({ row }) => row.hidden;
    const filtered = rows.some(gone) || words.value.trim();
    for (const { box, chapters } of tables) {
      for (const { head, rows: own } of chapters) head.hidden = own.every(gone);
      for (const remark of box.querySelectorAll(".remark"))
        remark.hidden = !box.querySelector(`tr:not([hidden]) a[href="#${remark.id}"]`);
      const folded = box.closest("details");
      (folded ?? box).hidden = chapters.every(({ head }) => head.hidden);
      if (folded && filtered) folded.open = true;
    }
    const text = `${rows.filter((row) => !gone(row)).length} of ${rows.length} shown`;
    if (count.textContent !== text) count.textContent = text; // only news is read out
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", update);
  form.hidden = false;
  update();
});
