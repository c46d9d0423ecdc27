"""Layout: nothing sticks out of the page at any width; what is wide scrolls in a box of its own."""

from tools.browser.chromium import WIDTHS, Visit

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


def check(visit: Visit) -> list[str]:
    """What sticks out of the page, at each width, a line each."""
    problems = []
    for width in WIDTHS:
        visit.look(width, "light")
        problems += [f"sticks out at {width} px: {what}" for what in visit.tab.evaluate(JUTTING)]
        scrolls = visit.tab.evaluate("() => document.documentElement.scrollWidth") - width
        if scrolls > 0:
            problems.append(f"is {scrolls} px wider than a window of {width} px")
    return problems
