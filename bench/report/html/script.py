"""The script of a report: searching in its queries, and the words' explanations on hovering. Without it all is there to
read, and a tap explains a word."""

SCRIPT = """
for (const box of document.querySelectorAll('.queries')) {
  const form = box.querySelector('form'), field = form.querySelector('[type=search]');
  const cards = [...box.querySelectorAll('article')], told = form.querySelector('[role=status]');
  const texts = cards.map(card => card.textContent.toLowerCase());
  const filter = () => {
    const words = field.value.toLowerCase().split(/\\s+/).filter(Boolean);
    const kinds = [...form.querySelectorAll('[type=checkbox]:checked')].map(each => each.value);
    let shown = 0;
    cards.forEach((card, i) => {
      const fits = kinds.includes(card.dataset.kind) && words.every(word => texts[i].includes(word));
      card.hidden = !fits;
      shown += fits;
    });
    const all = shown === cards.length;
    told.textContent = all ? '' : shown ? 'Shown: ' + shown + ' of ' + cards.length : 'No query fits.';
  };
  form.addEventListener('input', filter);
  form.addEventListener('submit', event => event.preventDefault());
  form.hidden = false;
}
for (const term of document.querySelectorAll('.term')) {
  const said = document.getElementById(term.getAttribute('popovertarget'));
  if (!said || !said.showPopover) continue;
  let waiting;
  term.addEventListener('mouseenter', () => {
    waiting = setTimeout(() => {
      if (!said.matches(':popover-open')) said.showPopover({source: term});
    }, 350);
  });
  term.addEventListener('mouseleave', () => {
    clearTimeout(waiting);
    if (said.matches(':popover-open')) said.hidePopover();
  });
}
"""
