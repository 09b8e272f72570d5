// When the server does not answer: say so and what is saved, hold judging, try again, come back.
"use strict";
(() => {
  const FIRST = 1_000, LONGEST = 8_000, PATIENCE = 15_000; // milliseconds
  const GONE =
    "The server does not answer. What you judged before is saved; judging waits, and this page " +
    "tries again by itself. If askew review has been stopped, start it with the same command, and " +
    "should it print another address, open that.";
  const LOCKED =
    "The server does not let this page in any more: it was started anew, or you signed out. What " +
    "you judged before is saved. Open the address that askew review printed last; judging waits.";
  const { isStep, saidBy } = window.askew;
  const find = (selector) => document.querySelector(selector);
  let away = null; // while the server is away: how long to wait, what to say, which step is in doubt
  let isLasting = false; // what is told stands until the next step is saved

  const tell = (text, { lasting = false, good = false } = {}) => {
    window.askew.tell(text, { good });
    isLasting = lasting;
  };

  // What a form that was sent would have done, for a reader.
  const stepOf = ({ path, parameters }) => {
    const { key, verdict } = parameters;
    const row = find("#card-title")?.textContent;
    const words = { "/judge": `${verdict} on ${row}`, "/undo": "undo", "/note": `the note on ${row}` };
    return { key, verdict, words: words[path] ?? "your last step" };
  };

  const leave = (step) => {
    away ??= { wait: FIRST, text: GONE, timer: setTimeout(attempt, FIRST) };
    if (step) away.step = step;
    tell(step ? `It is not known whether ${step.words} was saved. ${away.text}` : away.text);
  };

  const attempt = async () => {
    const status = await statusOf("/state");
    if (!away) return; // another attempt was quicker
    if (status && status !== 403) return comeBack();
    const text = status ? LOCKED : GONE;
    if (text !== away.text) tell((away.text = text));
    away.wait = Math.min(2 * away.wait, LONGEST);
    away.timer = setTimeout(attempt, away.wait);
  };

  const statusOf = async (address) => {
    try {
      const reply = await fetch(address, { signal: AbortSignal.timeout(PATIENCE) });
      return reply.redirected ? 403 : reply.status; // a redirect leads to the sign-in
    } catch {
      return 0;
    }
  };

  const comeBack = async () => {
    const { step } = away;
    away = null;
    const fate = step ? await fateOf(step) : "";
    // Who is typing keeps the card: its keys would be verdicts once the focus moves.
    if (!document.activeElement.matches("input, select, textarea")) await renew(fate);
    if (away) return; // gone again
    tell(`Connected again. ${fate}`.trim(), { lasting: true, good: true });
  };

  // A server that was started anew may ask another row first; the one under the hand stays.
  const renew = async (fate) => {
    const key = find('[name="key"]')?.value, note = find("#note")?.value;
    const stays = key && !location.search && !fate.startsWith("Saved");
    await htmx.ajax("GET", stays ? `/?key=${key}` : location.pathname + location.search, {
      target: "#desk", select: "#desk > *", swap: "innerHTML",
    });
    if (note && find('[name="key"]')?.value === key) find("#note").value = note;
  };

  const fateOf = async ({ key, verdict, words }) => {
    const unknown = `Whether ${words} was saved is seen in the history.`;
    if (!verdict) return unknown;
    try {
      const { card } = await (await fetch(`/api/card?key=${key}`)).json();
      return card.mine === verdict ? `Saved: ${words}.` : `Not saved: ${words}. Judge it again.`;
    } catch {
      return unknown;
    }
  };

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (!away) return;
    event.preventDefault();
    if (isStep(event)) tell(`Not saved: ${stepOf(event.detail.requestConfig).words}. ${away.text}`);
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful && (isStep(event) || !isLasting)) tell("");
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      leave(isStep(event) ? stepOf(event.detail.requestConfig) : null);
    });
  }
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status === 403) {
      // Another start of the server: with the old cookie, or with a new one and an old form.
      leave(isStep(event) ? stepOf(event.detail.requestConfig) : null);
      clearTimeout(away.timer);
      attempt();
      return;
    }
    const said = saidBy(event.detail.xhr);
    tell(isStep(event) ? `Not saved. ${said}` : said, { lasting: isStep(event) });
  });
})();
