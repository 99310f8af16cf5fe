"""The style of a report: one scale of type, one of space, one accent colour; light, dark, printed, and as wide as a
telephone. Colours of text have a contrast of at least 4.5 to 1 with their ground, those of pictures 3 to 1."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --raised: #f6f7f9; --ink: #1a2230; --soft: #566071; --line: #dde1e7; --accent: #1f5a96;
  --tint: #eaf1f8; --good: #17663a; --bad: #a3271f; --warn: #8a5a00;
  --s0: #1f5a96; --s1: #b4540a; --s2: #0b7a5c; --s3: #8a3f8f; --s4: #6b6f00; --s5: #b02a50; --s6: #3f6f78;
    --s7: #5b5b5b;
  --muted: #7d8796; --grid: #e7eaef;
  --t-small: .8125rem; --t-body: 1rem; --t-lead: 1.25rem; --t-3: 1.125rem; --t-2: 1.5rem; --t-1: 2.25rem;
  --a: .25rem; --b: .5rem; --c: 1rem; --d: 1.5rem; --e: 2.5rem; --f: 4rem;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161c; --raised: #1a2028; --ink: #e6e9ee; --soft: #a5afbd; --line: #313a46; --accent: #86b6ea;
    --tint: #1a2a3d; --good: #72cc97; --bad: #f3938b; --warn: #e0b45c;
    --s0: #86b6ea; --s1: #f0a066; --s2: #5cc9a7; --s3: #d79adb; --s4: #c9cc58; --s5: #f38fab; --s6: #8fc3cd;
    --s7: #b5b5b5;
    --muted: #8b96a5; --grid: #262e38;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0 auto; max-width: 74rem; padding: var(--e) var(--d) var(--f); background: var(--paper); color: var(--ink);
  font: var(--t-body)/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere;
}
.skip { position: absolute; left: -100vw; }
.skip:focus { left: var(--c); top: var(--c); background: var(--paper); padding: var(--b) var(--c); z-index: 2; }
a { color: var(--accent); text-underline-offset: .2em; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 2px; }
h1, h2, h3, h4, h5 { line-height: 1.25; font-weight: 600; text-wrap: balance; margin: 0; }
h1 { font-size: var(--t-1); letter-spacing: -.015em; }
h2 { font-size: var(--t-2); letter-spacing: -.01em; margin-bottom: var(--c); }
h3 { font-size: var(--t-3); margin-bottom: var(--b); }
h4, h5 { font-size: var(--t-body); margin-bottom: var(--a); }
p, ul, ol, dl { margin: 0 0 var(--c); max-width: 70ch; }
ul, ol { padding-left: 1.2em; }
li { margin-bottom: var(--a); }
.top { border-top: 4px solid var(--accent); padding-top: var(--d); margin-bottom: var(--d); }
.kind { color: var(--accent); font-size: var(--t-small); font-weight: 600; margin-bottom: var(--b); }
.facts { list-style: none; padding: 0; margin: var(--c) 0 0; color: var(--soft); max-width: none; }
.facts li { display: inline-block; margin: 0 var(--d) var(--a) 0; }
nav { border-block: 1px solid var(--line); padding: var(--b) 0; font-size: var(--t-small); }
nav ol { list-style: none; padding: 0; margin: 0; max-width: none; display: flex; flex-wrap: wrap; gap: 0 var(--d); }
nav li { margin: 0; }
nav a { display: inline-block; padding: var(--b) 0; text-decoration: none; }
nav a:hover { text-decoration: underline; }
main > section { margin-top: var(--f); }
section section { margin-top: var(--e); }
.lead { font-size: var(--t-lead); line-height: 1.5; max-width: 62ch; }
.lead strong { color: var(--accent); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: var(--d); max-width: none;
  margin: var(--d) 0 var(--e); }
.tiles div { border-top: 1px solid var(--line); padding-top: var(--b); display: flex; flex-direction: column; }
.tiles dt { order: 2; font-size: var(--t-small); font-weight: 600; }
.tiles dd { order: 1; margin: 0; font-size: var(--t-2); font-weight: 600; line-height: 1.3; }
.tiles .note { order: 3; font-size: var(--t-small); font-weight: 400; color: var(--soft); line-height: 1.5; }
.scroll { overflow-x: auto; margin: 0 0 var(--c); max-width: 100%; position: relative; }
table { border-collapse: collapse; font-size: var(--t-small); line-height: 1.45; min-width: min(100%, 24rem); }
caption { text-align: left; color: var(--soft); padding: 0 0 var(--b); }
th, td { text-align: left; vertical-align: top; padding: var(--b) var(--c) var(--b) 0;
    border-bottom: 1px solid var(--line);
  overflow-wrap: normal; }
th:first-child { min-width: 7rem; max-width: 18rem; overflow-wrap: anywhere; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; border-bottom: 1px solid var(--soft); }
tbody th { font-weight: 600; }
td:not(.num) { min-width: 6rem; }
.num { text-align: right; white-space: nowrap; }
th.num { white-space: normal; }
tr:has(> .head) > * { background: var(--tint); }
tr:has(> .head) > :first-child { box-shadow: inset 3px 0 var(--accent); padding-left: var(--b); }
.n { white-space: nowrap; }
.aside { white-space: nowrap; }
td .aside { display: block; color: var(--soft); font-weight: 400; }
.good { color: var(--good); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
.quiet { color: var(--soft); }
.notes { color: var(--soft); font-size: var(--t-small); }
figure { margin: 0 0 var(--f); max-width: 100%; break-inside: avoid; }
figcaption { color: var(--soft); font-size: var(--t-small); max-width: 80ch; margin: var(--b) 0 var(--c); }
svg { display: block; width: 100%; height: auto; max-width: 60rem; overflow: visible; }
svg text { font-family: inherit; }
.key { display: inline-block; margin-right: var(--c); }
.k0 { color: var(--s0); } .k1 { color: var(--s1); } .k2 { color: var(--s2); } .k3 { color: var(--s3); }
.k4 { color: var(--s4); } .k5 { color: var(--s5); } .k6 { color: var(--s6); } .k7 { color: var(--s7); }
.narrow { display: none; }
@media (max-width: 40rem) {
  body { padding: var(--d) var(--c) var(--e); }
  h1 { font-size: 1.75rem; }
  .wide { display: none; }
  .narrow { display: block; }
  .lead { font-size: var(--t-3); }
  main > section { margin-top: var(--e); }
}
details { margin: 0 0 var(--c); }
summary { cursor: pointer; color: var(--accent); font-size: var(--t-small); padding: var(--a) 0; width: fit-content; }
details[open] > summary { margin-bottom: var(--b); }
pre { background: var(--raised); padding: var(--c); overflow-x: auto; font-size: var(--t-small); line-height: 1.5;
  white-space: pre-wrap; margin: 0; border-radius: 4px; }
.term { font: inherit; color: inherit; background: none; border: 0; padding: 0; margin: 0; cursor: help;
    text-align: inherit;
  text-decoration: underline dotted var(--muted); text-underline-offset: .22em; letter-spacing: inherit;
  overflow-wrap: inherit; white-space: inherit; }
.explained { max-width: min(26rem, calc(100vw - 2rem)); padding: var(--c); border: 1px solid var(--line);
    border-radius: 6px;
  background: var(--paper); color: var(--ink); box-shadow: 0 8px 28px rgb(0 0 0 / .18); font-size: var(--t-small);
  line-height: 1.5; }
@supports (position-area: bottom span-right) {
  .explained { position-area: bottom span-right;
    position-try-fallbacks: flip-block, flip-inline, flip-block flip-inline;
    margin: var(--b) 0 0; inset: auto; }
}
.terms { max-width: none; columns: 22rem; column-gap: var(--e); font-size: var(--t-small); }
.terms div { break-inside: avoid; margin-bottom: var(--c); }
.terms dt { font-weight: 600; }
.terms dd { margin: 0; color: var(--soft); }
.search { display: flex; flex-wrap: wrap; gap: var(--c) var(--d); align-items: end; background: var(--raised);
  padding: var(--c); border-radius: 6px; margin-bottom: var(--d); font-size: var(--t-small); }
.search[hidden] { display: none; }
.search label { display: inline-block; margin-right: var(--c); }
.search [type=search] { display: block; font: inherit; font-size: var(--t-body); width: min(20rem, 100%);
    padding: var(--b);
  border: 1px solid var(--muted); border-radius: 4px; background: var(--paper); color: var(--ink);
    margin-top: var(--a); }
fieldset { border: 0; padding: 0; margin: 0; min-width: 0; }
legend { padding: 0; margin-bottom: var(--a); color: var(--soft); }
.search p { margin: 0; color: var(--soft); }
article { border-top: 1px solid var(--line); padding: var(--d) 0 var(--c); }
article[hidden] { display: none; }
.moved { color: var(--soft); font-size: var(--t-small); }
.label { font-size: var(--t-small); color: var(--soft); margin: 0 0 var(--a); }
.judged { background: var(--raised); padding: var(--c); border-radius: 6px; margin-bottom: var(--c); }
.passage { margin-bottom: var(--b); }
.where { display: block; font-size: var(--t-small); color: var(--soft); }
.text { display: block; font-size: var(--t-small); max-width: 80ch; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: var(--d); }
.sides ol { font-size: var(--t-small); padding-left: 1.6em; margin: 0; }
.sides li { margin-bottom: var(--b); padding: var(--a) var(--b); border-left: 3px solid transparent; }
.sides li.hit { border-left-color: var(--good); background: var(--raised); }
.tag { color: var(--good); font-size: var(--t-small); }
@media print {
  :root { color-scheme: light; --paper: #ffffff; --raised: #f6f7f9; --ink: #1a2230; --soft: #566071; --line: #dde1e7;
    --accent: #1f5a96; --tint: #eaf1f8; --good: #17663a; --bad: #a3271f; --warn: #8a5a00; --s0: #1f5a96;
    --s1: #b4540a;
    --s2: #0b7a5c; --s3: #8a3f8f; --s4: #6b6f00; --s5: #b02a50; --s6: #3f6f78; --s7: #5b5b5b; --muted: #7d8796;
    --grid: #e7eaef; --f: 2.5rem; }
  @page { margin: 16mm 14mm; }
  body { padding: 0; max-width: none; font-size: 10pt; }
  nav, .skip, .search, .explained { display: none !important; }
  .wide { display: block; }
  .narrow { display: none; }
  .scroll { overflow: visible; }
  table { font-size: 7.5pt; }
  th, td { padding: 3pt 6pt 3pt 0; }
  .num, .n, .aside { white-space: normal; }
  table { width: 100%; }
  th, td { overflow-wrap: anywhere; }
  td:not(.num), th:first-child { min-width: 0; }
  tr, article, .terms div { break-inside: avoid; }
  h2, h3, h4 { break-after: avoid; }
  .term { text-decoration: none; }
  details::details-content { content-visibility: visible; display: block; height: auto; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
