"""Nothing sticks out of the page at any width, and what is wide scrolls in a box of its own.

From `FITS` pixels on no table has to scroll. Below, a table that scrolls says so.
"""

from tools.browser.chromium import WIDTHS, Visit

FITS = 1100
BETWEEN = (FITS, 1300)
"""Further widths at which tables are looked at. The theme shows one bar or two beside the text."""

# Elements that reach beyond the window although nothing around them scrolls or cuts them.
JUTTING = """() => {
  const edge = document.documentElement.clientWidth + 1;
  const contained = element => {
    for (let box = element.parentElement; box && box !== document.body; box = box.parentElement) {
      const {overflowX, position} = getComputedStyle(box);
      if (overflowX !== 'visible' || position === 'fixed') return true;
    }
    return false;
  };
  const juts = element => {
    const box = element.getBoundingClientRect();
    return box.width && box.height && box.right + scrollX > edge && !contained(element);
  };
  const found = [...document.querySelectorAll('.bd-article-container *')].filter(juts);
  const outer = found.filter(element => !found.includes(element.parentElement));
  const text = e => e.textContent.trim().slice(0, 40);
  const name = e => `${e.tagName.toLowerCase()} ${e.className}: ${text(e)}`;
  return outer.slice(0, 4).map(name);
}"""

# Tables of which the box around them hides a part. `hinted` if the box says that it scrolls.
HIDDEN = """() => {
  const box = table => {
    let around = table;
    while (around !== document.body && getComputedStyle(around).overflowX === 'visible')
      around = around.parentElement;
    return around;
  };
  const hinted = e => !['none', 'normal'].includes(getComputedStyle(e, '::before').content);
  return [...document.querySelectorAll('.bd-article-container table')]
    .filter(table => table.checkVisibility())
    .map(table => [table.textContent.trim().replace(/\\s+/g, ' ').slice(0, 40), box(table)])
    .filter(([, around]) => around.scrollWidth > around.clientWidth + 1)
    .map(([text, around]) => ({text, hinted: hinted(around)}));
}"""


def check(visit: Visit) -> list[str]:
    """What sticks out of the page or is hidden in a table, at each width, a line each."""
    problems = []
    visit.toggle(True)
    for width in sorted({*WIDTHS, *BETWEEN}):
        visit.look(width, "light")
        problems += [f"sticks out at {width} px: {what}" for what in visit.tab.evaluate(JUTTING)]
        scrolls = visit.tab.evaluate("() => document.documentElement.scrollWidth") - width
        if scrolls > 0:
            problems.append(f"is {scrolls} px wider than a window of {width} px")
        for table in visit.tab.evaluate(HIDDEN):
            if width >= FITS:
                problems.append(f"hides a part of a table at {width} px: {table['text']}")
            elif not table["hinted"]:
                problems.append(f"does not say that a table scrolls at {width} px: {table['text']}")
    return problems
