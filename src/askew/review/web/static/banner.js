// The banner above the page, and what its scripts ask of a request: is it a step, what was answered.
"use strict";
window.askew = {
  tell(text, { good = false } = {}) {
    const banner = document.querySelector("#offline");
    banner.textContent = text;
    banner.hidden = !text;
    banner.classList.toggle("back", good);
  },
  // A form that changes something: a verdict, a note, an undo.
  isStep: (event) => event.detail.requestConfig?.verb === "post",
  saidBy({ status, responseText }) {
    const page = new DOMParser().parseFromString(responseText, "text/html");
    return page.querySelector("main p")?.textContent || `The server said ${status}; reload the page.`;
  },
};
