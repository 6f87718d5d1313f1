// What makes a stay's page quicker: play-back in place, forms without a new page.
// Without it every link and form works by itself.
"use strict";

(() => {
  const player = document.getElementById("player");
  const problem = document.getElementById("problem");
  let playing = null;

  const mark = (element) => {
    for (const old of document.querySelectorAll(".playing")) old.classList.remove("playing");
    if (element) element.classList.add("playing");
  };
  const bring = (element) => {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    element.scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
  };
  const say = (text) => { problem.textContent = text; problem.hidden = !text; };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-play]");
    if (link) {
      event.preventDefault();
      const turn = document.getElementById(link.dataset.play);
      if (playing === link.href && !player.paused) { player.pause(); mark(null); return; }
      playing = link.href;
      mark(turn);
      if (turn) bring(turn);
      say("");
      player.src = link.href;
      player.play().catch(() => say("This cannot be played: its audio may have been deleted by the retention policy."));
      return;
    }
    const source = event.target.closest("a.link[href^='#']");
    if (source) {
      const fact = document.getElementById(source.getAttribute("href").slice(1));
      mark(fact);
    }
    for (const open of document.querySelectorAll("details.speaker[open]"))
      if (!open.contains(event.target)) open.open = false;
  });
  player.addEventListener("ended", () => { mark(null); playing = null; });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const open = document.activeElement?.closest("details[open]");
    if (open) { open.open = false; open.querySelector("summary").focus(); }
    else if (!player.paused) { player.pause(); mark(null); }
  });

  // Forms of the three parts go without a new page; the stream brings what became of them.
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.closest("#prompts, #draft, #transcript-list")) return;
    event.preventDefault();
    const fields = new FormData(form, event.submitter);
    const buttons = form.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        body: new URLSearchParams(fields),
        headers: { "X-Requested-With": "bayscribe", Accept: "text/html" },
      });
      if (answer.redirected) { location.reload(); return; }
      if (answer.ok) {
        say("");
        for (const field of form.querySelectorAll("textarea, input:not([type=hidden])")) field.defaultValue = field.value;
        form.closest("details")?.removeAttribute("open");
        document.activeElement?.blur();
        document.getElementById("main").focus({ preventScroll: true });
        window.bayscribe?.showHeld();
        return;
      }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const words = [...page.querySelectorAll("main p")].slice(0, 2).map((p) => p.textContent.trim());
      say(words.join(" ") || "This was not done.");
    } catch {
      say("The relay is not reached. Nothing was changed; try again.");
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  });

  const scroll = document.getElementById("transcript-scroll");
  if (scroll && !location.hash) scroll.scrollTop = scroll.scrollHeight;
})();
