// Keys for the review page. They rest while the reader types, and while a verdict is on its way.
"use strict";
(() => {
  const { isStep } = window.askew;
  const find = (selector) => document.querySelector(selector);
  const isTyping = (target) =>
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
  let sending = 0;

  const press = (key) => {
    const button = find(`[data-key="${key}"]`);
    if (button) button.click();
    return Boolean(button);
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target.id === "note") {
      event.target.blur();
      return;
    }
    if (isTyping(event.target) || find("dialog[open]") || event.altKey || event.metaKey) return;
    const key = event.key.toLowerCase();
    if (event.ctrlKey) {
      if (key === "z" && !event.shiftKey && !event.repeat) {
        event.preventDefault();
        if (!sending) press("u");
      }
      return;
    }
    if (event.repeat) return; // a key held down is one verdict
    if ("ansu".includes(key) && key.length === 1) {
      event.preventDefault();
      if (!sending) press(key);
    } else if (key === "?") {
      event.preventDefault();
      press("?");
    } else if (key === "/") {
      const note = find("#note");
      if (note) {
        event.preventDefault();
        note.focus();
      }
    } else if (key === "arrowleft" || key === "arrowright") {
      const link = find(key === "arrowleft" ? "a[rel=prev]" : "a[rel=next]");
      if (link) {
        event.preventDefault();
        link.click();
      }
    }
  });

  // A verdict button must not be reached by Enter in the note: that would say "anomaly".
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.id === "note") event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest('[data-key="?"]')) find("#help").showModal();
  });

  document.addEventListener("htmx:beforeSend", (event) => {
    if (isStep(event)) sending += 1;
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (isStep(event)) sending = Math.max(0, sending - 1);
  });
  const enliven = () => {
    for (const element of document.querySelectorAll(".only-script")) element.hidden = false;
    const title = find("#card-title");
    if (title) document.title = `${title.textContent} · Askew`;
  };
  document.addEventListener("htmx:afterSwap", (event) => {
    enliven();
    if (event.detail.target.id === "desk") find("#card-title")?.focus();
  });
  enliven();
})();
