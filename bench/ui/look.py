"""How the pages look: calm, with the fonts that the machine has, in light and dark, at the width of a telephone."""

from __future__ import annotations

from typing import Any

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

CSS = """
.gradio-container { max-width: 1180px !important; margin: 0 auto; width: 100%; min-width: 0; }
.gradio-container .main, .gradio-container .wrap, .gradio-container main { min-width: 0; max-width: 100%; }
.same { color: var(--body-text-color-subdued); font-size: var(--text-sm); margin: 0; }
.same code, .note code { overflow-wrap: anywhere; }
.note { margin: .25rem 0; overflow-wrap: anywhere; white-space: pre-wrap; }
.note.good, .note.bad, .note.warn { border-left: 4px solid; padding-left: .6rem; }
.note.good { border-color: #15803d; } .note.bad { border-color: #b91c1c; } .note.warn { border-color: #b45309; }
.scroll { overflow-x: auto; max-width: 100%; }
.scroll table, .scroll table * { border-color: var(--border-color-primary) !important; }
.scroll thead, .scroll tbody, .scroll tr { border: 0 !important; }
.scroll table { border: 0 !important; border-collapse: collapse; font-size: var(--text-sm); width: 100%; }
.scroll caption { text-align: left; font-weight: 600; padding: .4rem 0; }
.scroll th, .scroll td { text-align: left; padding: .3rem .6rem; border: 0 solid var(--border-color-primary) !important;
  border-bottom-width: 1px !important; vertical-align: top; overflow-wrap: anywhere; }
.scroll th { white-space: nowrap; } .scroll td.number { text-align: right; font-variant-numeric: tabular-nums; }
progress { width: 100%; height: .7rem; accent-color: var(--color-accent); }
.progress h3 { overflow-wrap: anywhere; }
.log { white-space: pre-wrap; overflow-wrap: anywhere; font-family: var(--font-mono); font-size: var(--text-sm);
  max-height: 22rem; overflow-y: auto; }
.yaml textarea { font-family: var(--font-mono); font-size: var(--text-sm); white-space: pre; overflow-x: auto; }
button[role="tab"][aria-selected="true"] { color: var(--primary-700) !important; }
.dark button[role="tab"][aria-selected="true"] { color: var(--primary-300) !important; }
.sure { min-width: 0 !important; }
.block:has(> .html-container .prose:empty) { display: none; }
@media (max-width: 640px) { .gradio-container { padding: .5rem !important; } .narrow { flex-direction: column; }
  .sure { min-width: calc(50% - 1rem) !important; } }
"""


def theme() -> Any:
    """A theme that asks the network for nothing: no font is loaded."""
    import gradio

    base = gradio.themes.Default(
        primary_hue="blue", secondary_hue="slate", neutral_hue="slate", font=SANS, font_mono=MONO
    )
    # Gradio's own greys are too weak to read: 4.5 to 1 is the least (WCAG 2.2, 1.4.3).
    return base.set(
        body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_300",
        input_placeholder_color="*neutral_500", input_placeholder_color_dark="*neutral_300",
        button_primary_background_fill="*primary_700", button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700", button_primary_background_fill_hover_dark="*primary_600",
    )  # fmt: skip
