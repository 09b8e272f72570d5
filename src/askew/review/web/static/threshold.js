// The slider of the threshold view: the number that it points at is told as it moves.
"use strict";
(() => {
  const { tell, saidBy } = window.askew;
  const find = (selector) => document.querySelector(selector);
  const slider = find("#stop");
  const stops = slider.dataset.stops.split(" ").map(Number);
  slider.addEventListener("input", () => {
    const alerts = stops[slider.value];
    const told = alerts.toLocaleString("en-US");
    find("#chosen").textContent = told;
    find("#alerts").value = alerts;
    slider.setAttribute("aria-valuetext", `${told} ${alerts === 1 ? "alert" : "alerts"}`);
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) tell("");
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, () => {
      tell("The server does not answer; the figures below are those of the last number shown.");
    });
  }
  document.addEventListener("htmx:responseError", (event) => tell(saidBy(event.detail.xhr)));
})();
