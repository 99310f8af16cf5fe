"""What tests do on the page in a browser."""

from __future__ import annotations

import os
from typing import Any

LONG = 300_000  # milliseconds, however slow the machine is
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
_AT_REST = """() => Promise.all(document.getAnimations()
  .filter(each => each.effect.getComputedTiming().iterations !== Infinity)
  .map(each => each.finished.catch(() => {})))"""  # what fades in has too little contrast until it is there
# What axe finds in Gradio's own components, whatever stands in them.
GRADIO = {"region", "landmark-one-main", "page-has-heading-one"}


def opened(context: Any, address: str, told: list[str], page: str = "Experiment") -> Any:
    """A tab that shows a page. told: hears what the browser complains of, and what it asks of others."""
    found = context.new_page()
    found.set_default_timeout(LONG)
    found.on("console", lambda each: told.append(each.text) if each.type in ("error", "warning") else None)
    found.on("pageerror", lambda error: told.append(str(error)))
    found.on("dialog", lambda dialog: (told.append("dialog"), dialog.dismiss()))
    found.on(
        "request", lambda each: None if each.url.startswith((address, "data:", "blob:")) else told.append(each.url)
    )
    found.goto(address, wait_until="load")
    go(found, page)
    return found


def go(page: Any, name: str) -> None:
    """Open a tab, from the menu where a narrow screen has no room for it."""
    page.get_by_role("tab").filter(visible=True).first.wait_for()
    tab = page.get_by_role("tab", name=name, exact=True).filter(visible=True)
    if tab.count():
        tab.first.click()
        return
    for menu in page.locator(".overflow-menu > button").filter(visible=True).all():
        menu.click()
        wanted = page.locator(".overflow-dropdown button").filter(visible=True, has_text=name)
        if wanted.count():
            wanted.first.click()
            return
        menu.click()
    raise AssertionError(f"no tab {name}")


def step(page: Any, name: str) -> None:
    """What a page owes its reader at every step: nothing is wider than a telephone. BENCH_PICTURES names a folder for
    pictures, for whoever wants to look."""
    folder = os.environ.get("BENCH_PICTURES")
    shown = page.viewport_size
    for size in (NARROW, WIDE):
        page.set_viewport_size(size)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= size["width"], f"{name} is {width} wide on {size['width']}"
        if folder:
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                page.wait_for_timeout(700)
                page.screenshot(path=f"{folder}/{name}-{size['width']}-{scheme}.png", full_page=True)
            page.emulate_media(color_scheme=None)
    page.set_viewport_size(shown)


def field(page: Any, label: str) -> Any:
    """The input of a label, which may go on with what it means."""
    exactly = page.get_by_label(label, exact=True).filter(visible=True)
    return exactly.first if exactly.count() else page.get_by_label(label).filter(visible=True).first


def choose(page: Any, label: str, option: str) -> None:
    field(page, label).click()
    page.get_by_role("option", name=option).filter(visible=True).first.click()


def fill(page: Any, label: str, value: str) -> None:
    field(page, label).fill(value)


def text(page: Any) -> Any:
    return page.get_by_label("Experiment", exact=True).filter(visible=True)


def button(page: Any, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True).filter(visible=True)


def sees(page: Any, words: Any) -> None:
    page.get_by_text(words).filter(visible=True).first.wait_for()


def check_readable(page: Any) -> None:
    """Everybody can read it: axe finds nothing but what Gradio itself brings."""
    from axe_playwright_python.sync_playwright import Axe

    found: list[Any] = []
    for _ in range(3):  # a button may begin to fade in while it is looked at; what is at fault stays so
        page.evaluate(_AT_REST)
        faults = Axe().run(page).response["violations"]
        told = [(each["id"], [node["html"][:300] for node in each["nodes"]][:5]) for each in faults]
        found = [each for each in told if each[0] not in GRADIO]
        if not found:
            return
    raise AssertionError(found)


_CONTROLS = """() => [...document.querySelectorAll('button, input, textarea, a[href], [role=tab], [tabindex="0"]')]
  .filter(each => each.checkVisibility({visibilityProperty: true, opacityProperty: true}) && !each.disabled
          && each.tabIndex >= 0 && each.getBoundingClientRect().width > 0)"""


def not_reached(page: Any) -> list[str]:
    """The controls that are shown, and that nobody comes to who has a keyboard alone. Of radio buttons of one group the
    chosen one is enough: arrow keys reach the others."""
    page.evaluate(f"""() => {{
        window.wanted = new Set(({_CONTROLS})());
        const groups = [...window.wanted].filter(each => each.type === 'radio');
        for (const each of groups) if (!each.checked) window.wanted.delete(each);
        document.addEventListener('focusin', event => window.wanted.delete(event.target));
        document.activeElement.blur();
    }}""")
    for _ in range(page.evaluate("window.wanted.size") + 20):
        page.keyboard.press("Tab")
    return list(page.evaluate("[...window.wanted].map(each => each.outerHTML.slice(0, 300))"))
