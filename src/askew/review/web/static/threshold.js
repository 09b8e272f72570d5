// The slider of the threshold view: the number that it points at is told as it moves.
"use strict";
(() => {
  const find = (selector) => document.querySelector(selector);
  const slider = find("#stop");
  const stops = slider.dataset.stops.split(" ").map(Number);
  slider.addEventListener("input", () => {
    const alerts = stops[slider.value];
    const told = alerts.toLocaleString("en-US");
    find("#chosen").textContent = told;
    find("#alerts").value = alerts;
    slider.setAttribute("aria-valuetext", `${told} alerts`);
  });

  const offline = (text) => {
    const banner = find("#offline");
    banner.textContent = text;
    banner.hidden = !text;
  };
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) offline("");
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    // Signed out meanwhile: the reply is the way in, which needs a page of its own.
    if (new URL(event.detail.xhr.responseURL).pathname === "/threshold") return;
    event.detail.shouldSwap = false;
    location.reload();
  });
  document.addEventListener("htmx:sendError", () => {
    offline("The server does not answer; the figures below are those of the last number shown.");
  });
  document.addEventListener("htmx:responseError", (event) => {
    offline(`The server said ${event.detail.xhr.status}; reload the page.`);
  });
})();
