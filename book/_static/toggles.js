// A box that scrolls must be reached by the Tab key. The theme sees to code and tables, but only when the
// page loads or the window changes: what stands in a closed toggle has no width then, and a table with formulas
// is narrower before they are set. Formulas themselves, and figures, it leaves out.
(() => {
  const lookAgain = () => window.dispatchEvent(new Event("resize"));
  const updateBoxes = () => {
    const boxes = [...document.querySelectorAll("div.math, span.math, mjx-container, .wide-figure")];
    const scrolls = (box) => getComputedStyle(box).overflowX !== "visible" && box.scrollWidth > box.clientWidth;
    const found = boxes.map(scrolls); // first look, then change: to mix both lays the page out anew each time
    boxes.forEach((box, i) => {
      if (found[i]) box.tabIndex = 0;
      else if (box.hasAttribute("tabindex")) box.removeAttribute("tabindex");
    });
  };
  for (const event of ["toggle", "click"])
    document.addEventListener(event, ({ target }) => {
      if (target.closest?.("details, .toggle, .sd-tab-set")) lookAgain();
    }, true);
  let waiting = null;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(updateBoxes, 200);
  });
  window.addEventListener("load", () => Promise.resolve(window.MathJax?.startup?.promise).then(lookAgain));
})();
