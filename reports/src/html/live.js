"use strict";
(() => {
  // A run that goes on: each event brings the page anew, of which the parts that changed are taken.
  const source = new EventSource("events");
  const part = (root, id) => root.getElementById(id);
  const charts = (root) => [...root.querySelectorAll("#live-charts figure.chart")];
  const notes = (root) => [...root.querySelectorAll("#live-charts > .phases, #live-charts > .note")];
  const names = (figures) => figures.map((figure) => figure.id).join(" ");

  const renew = (next) => {
    part(document, "live-head").replaceWith(part(next, "live-head"));
    const [old, fresh] = [charts(document), charts(next)];
    const [texts, newTexts] = [notes(document), notes(next)];
    if (old.length === 0 || names(old) !== names(fresh) || texts.length !== newTexts.length) {
      part(document, "live-charts").replaceWith(part(next, "live-charts"));
      return;
    }
    // The plots stay, so that a pointer over one keeps its reading.
    old.forEach((figure, at) => {
      for (const inner of [".plot svg", ".x-labels", ".y-labels", ".legend"]) {
        const [before, after] = [figure.querySelector(inner), fresh[at].querySelector(inner)];
        if (before && after) before.replaceWith(after);
      }
    });
    texts.forEach((text, at) => text.replaceWith(newTexts[at]));
  };

  source.onmessage = (event) => {
    const update = JSON.parse(event.data);
    const next = new DOMParser().parseFromString(update.html, "text/html");
    document.title = update.title;
    if (update.done) {
      source.close();
      document.querySelectorAll("body > :not(#tip, script)").forEach((old) => old.remove());
      document.body.prepend(...next.body.childNodes);
    } else {
      renew(next);
    }
    document.dispatchEvent(new CustomEvent("renewed", { detail: update.data }));
  };
  source.onerror = () => {
    const state = document.getElementById("live-state");
    if (state) state.textContent = "The run does not answer any more. What it told last is below.";
  };
})();
