"""Everything can be reached with Tab, is seen when reached, and answers to keys."""

from tools.browser.chromium import Visit

# Remembers how everything looks that can have the focus.
LISTEN = """() => {
  const style = e => {
    const {outline, outlineStyle, boxShadow, backgroundColor, borderColor, color} =
      getComputedStyle(e);
    const drawn = outlineStyle === 'none' ? '' : outline;
    return [drawn, boxShadow, backgroundColor, borderColor, color].join();
  };
  const still = document.head.appendChild(document.createElement('style'));
  still.textContent = '*, ::before, ::after { transition: none !important; }';
  document.activeElement?.blur();
  const before = new Map();
  for (const e of document.querySelectorAll('*')) if (e.tabIndex >= 0) before.set(e, style(e));
  window.tabStops = new Map();
  window.changed = e => before.get(e) !== style(e);
  return before.size;
}"""
# Notes what has the focus, and whether it looks different now. Tells whether anything has it.
NOTE = """() => {
  const e = document.activeElement;
  if (e !== document.body) tabStops.set(e, changed(e));
  return e !== document.body;
}"""
# What a reader can see or scroll to but not reach, and what does not show that it is reached.
REPORT = """() => {
  const name = e => `${e.tagName.toLowerCase()} ${e.getAttribute('aria-label') ?? ''} ` +
    (e.textContent.trim() || e.className || e.id).replace(/\\s+/g, ' ').slice(0, 40);
  const kinds = 'a[href], button, summary, input, select, textarea, iframe, [tabindex="0"]';
  const shown = e => e.checkVisibility({visibilityProperty: true}) && e.getClientRects().length;
  const open = e => e.tabIndex >= 0 && !e.disabled && !e.closest('[inert]');
  const wanted = [...document.querySelectorAll(kinds)].filter(e => shown(e) && open(e));
  const problems = wanted.filter(e => !tabStops.has(e)).map(e => `Tab does not reach: ${name(e)}`);
  for (const [e, changes] of tabStops)
    if (!changes && e.tagName !== 'IFRAME') problems.push(`focus is not visible: ${name(e)}`);
  return problems.slice(0, 6);
}"""
FOCUSED = "document.activeElement"
SLIDERS = '[data-slideshow] input[type="range"], main input[type="range"]'


def check(visit: Visit) -> list[str]:
    """What a reader without a mouse cannot do on a page, a line each."""
    return [*_tab_through(visit), *_toggle(visit), *_slide(visit), *_search_dialog(visit)]


def _tab_through(visit: Visit) -> list[str]:
    tab = visit.tab
    stops: int = tab.evaluate(LISTEN)
    for frame in tab.frames[1:]:
        stops += frame.evaluate("() => document.querySelectorAll('*').length")
    problems = []
    for stop in range(stops + 1):
        tab.keyboard.press("Tab")
        if not tab.evaluate(NOTE):
            break
        if stop == 0 and not tab.evaluate(f"() => {FOCUSED}.closest('#pst-skip-link') !== null"):
            problems.append("the first stop of Tab is not the link that skips to the content")
    return [*problems, *tab.evaluate(REPORT)]


def _toggle(visit: Visit) -> list[str]:
    """Open and close the first hidden code with Enter and Space."""
    tab, problems = visit.tab, []
    summary = tab.locator("details > summary").first
    if not tab.locator("details > summary").count():
        return []
    for key in ("Enter", "Space"):
        before = summary.evaluate("e => e.parentElement.open")
        summary.focus()
        tab.keyboard.press(key)
        if summary.evaluate("e => e.parentElement.open") == before:
            problems.append(f"{key} does not open or close a toggle")
    return problems


def _slide(visit: Visit) -> list[str]:
    """Move each slider of the page one step by an arrow key. A slideshow's picture follows."""
    tab, problems = visit.tab, []
    state = """e => [e.value, e.closest('[data-slideshow]')?.querySelector('img').src]"""
    for slider in tab.locator(SLIDERS).locator("visible=true").all():
        before = slider.evaluate(state)
        slider.focus()
        tab.keyboard.press(
            "ArrowRight" if before[0] == slider.get_attribute("min") else "ArrowLeft"
        )
        after = slider.evaluate(state)
        if before[0] == after[0] or (before[1] is not None and before[1] == after[1]):
            problems.append("an arrow key does not move a slider and its picture")
    return problems


def _search_dialog(visit: Visit) -> list[str]:
    """Control-K opens the search field, Escape closes it."""
    tab, problems = visit.tab, []
    opened = "() => document.querySelector('#pst-search-dialog')?.open ?? false"
    tab.keyboard.press("Control+k")
    if not tab.evaluate(f"() => {FOCUSED}.type === 'search'"):
        problems.append("Control-K does not lead to the search field")
    tab.keyboard.press("Escape")
    if tab.evaluate(opened):
        problems.append("Escape does not close the search field")
    return problems
