// The page: a tab for each task of each run, an input, and what the model makes of it.

import { startRecording } from "./recorder.js";
import { buildView, create } from "./views.js";

const PATIENCE_MS = 1000; // until the page tells how many requests wait
const MEDIA = { audio: "audio", video: "video", frames: "video", image: "img" };
const TYPES = { audio: "audio/*", video: "video/*", frames: "video/*", image: "image/*" };

// Read JSON; an answer that is an error becomes an Error with its sentence.
async function request(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error("the server can't be reached: has it been stopped?");
  }
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({ error: `the server answers ${response.status}` }));
  throw new Error(error);
}
const requestJson = async (...given) => (await request(...given)).json();

class Panel {
  constructor(tab, number, maxBytes) {
    Object.assign(this, { tab, number, maxBytes, input: null, player: null, isLoaded: false });
    this.element = document.getElementById("panel").content.cloneNode(true).firstElementChild;
    this.find("h2").textContent = tab.description || tab.title;
    this.find(".data").textContent = tab.has_examples
      ? `Trained on ${tab.training_data} only: it knows nothing else, so try the examples.`
      : `Trained on ${tab.training_data}.`;
    this.output = this.find(".output");
    this.button = this.find(".generate");
    this.button.addEventListener("click", () => this.generate());
    if (tab.kinds.includes("text")) this.prepareText();
    else this.prepareFiles();
    this.prepareSettings();
  }

  find = (selector) => this.element.querySelector(selector);

  // ── Inputs ──

  prepareText() {
    const area = this.find("textarea");
    this.find(".text-input").hidden = false;
    this.setText = (text) => {
      this.input = { body: text, name: null };
      this.button.disabled = !text.trim();
    };
    area.addEventListener("input", () => this.setText(area.value));
    area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !this.button.disabled) this.generate();
    });
  }

  prepareFiles() {
    const { kinds, suffixes } = this.tab;
    const drop = this.find(".drop"), field = drop.querySelector("input");
    this.find(".file-input").hidden = false;
    field.accept = [...new Set(kinds.map((kind) => TYPES[kind])), ...suffixes].join(",");
    const names = [...new Set(kinds.map((kind) => (kind === "frames" ? "video" : kind)))];
    drop.querySelector("small").textContent = `${names.join(" or ")}, up to ${this.maxBytes / 1e6} MB`;
    field.addEventListener("change", () => {
      if (field.files.length) this.take(field.files[0]);
      field.value = ""; // so that the same file can be chosen again
    });
    for (const type of ["dragover", "dragleave", "drop"])
      drop.addEventListener(type, (event) => {
        event.preventDefault();
        drop.classList.toggle("over", type === "dragover");
        if (type === "drop" && event.dataTransfer.files.length) this.take(event.dataTransfer.files[0]);
      });
    if (kinds.includes("image"))
      document.addEventListener("paste", (event) => {
        const [file] = event.clipboardData.files;
        if (file && !this.element.hidden) this.take(file);
      });
    if (kinds.includes("audio")) this.prepareMicrophone(this.find(".microphone"));
  }

  prepareMicrophone(button) {
    let stop = null;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        if (stop === null) {
          stop = await startRecording();
          button.textContent = "■ Stop";
        } else {
          const finish = stop;
          stop = null;
          button.textContent = "● Record";
          await this.take(await finish());
        }
        button.classList.toggle("on", stop !== null);
      } catch (error) {
        const isDenied = error.name === "NotAllowedError" || error.name === "NotFoundError";
        this.showError(isDenied ? "the browser gives no microphone: allow it, or choose a file" : error.message);
      }
    });
  }

  // Take a file, show it, and generate.
  async take(file) {
    if (file.size > this.maxBytes) {
      return this.showError(`${file.name} is larger than ${this.maxBytes / 1e6} MB, the limit of this server`);
    }
    this.input = { body: file, name: file.name };
    this.button.disabled = false;
    this.preview(file);
    await this.generate();
  }

  preview(file) {
    const isMoving = file.type.startsWith("video/");
    const kind = this.tab.kinds.includes("audio") && isMoving ? "video" : this.tab.kinds[0];
    const media = create(MEDIA[kind]);
    this.player = MEDIA[kind] === "img" ? null : media;
    if (this.player) media.controls = true;
    media.src = URL.createObjectURL(file);
    media.addEventListener("error", () => media.remove()); // the server reads more formats than browsers do
    const place = this.find(".preview");
    place.querySelectorAll("*").forEach((old) => URL.revokeObjectURL(old.src));
    place.replaceChildren(media);
  }

  // ── Examples ──

  async loadExamples() {
    if (this.isLoaded || !this.tab.has_examples) return;
    this.isLoaded = true;
    const place = this.find(".examples"), list = place.querySelector("div"), address = `api/tabs/${this.number}/examples`;
    place.hidden = false;
    list.textContent = "…";
    try {
      const examples = await requestJson(address);
      list.textContent = "";
      for (const [number, example] of examples.entries())
        list.append(await this.exampleButton(example, number, `${address}/${number}`));
    } catch (error) {
      list.textContent = `There are none here: ${error.message}.`;
    }
  }

  async exampleButton({ text, reference }, number, address) {
    const button = create("button", "quiet");
    button.type = "button";
    if (text !== null) {
      button.textContent = text;
      button.addEventListener("click", () => {
        this.find("textarea").value = text;
        this.setText(text);
        this.generate(reference);
      });
      return button;
    }
    const kind = this.tab.kinds[0], type = { audio: "audio/flac", image: "image/png" }[kind] ?? "video/mp4";
    const file = new File([await (await request(address)).blob()], `example ${number + 1}`, { type });
    if (kind === "audio") {
      button.textContent = `♪ ${number + 1}`;
    } else {
      const picture = create(MEDIA[kind]);
      picture.src = URL.createObjectURL(file);
      picture.alt = file.name;
      button.classList.add("picture");
      button.append(picture);
    }
    button.title = reference;
    button.addEventListener("click", () => {
      this.input = { body: file, name: file.name };
      this.button.disabled = false;
      this.preview(file);
      this.generate(reference);
    });
    return button;
  }

  // ── Settings ──

  prepareSettings() {
    const fields = this.find(".fields");
    const seed = { name: "seed", label: "Seed", low: 0, high: 1e9, step: 1, needs_sampling: true, value: 1 };
    this.settings = [...this.tab.settings, seed].map((setting) => {
      const label = create("label", setting.high ? "" : "choice"), input = create("input");
      if (setting.high) {
        Object.assign(input, { type: "number", min: setting.low, max: setting.high, step: setting.step });
        input.value = setting.value;
        label.append(setting.label, input);
      } else {
        input.type = "checkbox";
        input.checked = setting.value;
        label.append(input, `${setting.label} instead of searching for the best sentence`);
      }
      input.name = setting.name;
      input.addEventListener("change", () => this.enableSettings());
      fields.append(label);
      return { ...setting, input, label };
    });
    this.enableSettings();
  }

  // Settings without effect can't be changed.
  enableSettings() {
    const samples = this.settings.some(({ name, input }) => name === "sample" && input.checked);
    for (const { needs_sampling: needs, input, label } of this.settings) {
      input.disabled = needs !== null && needs !== samples;
      label.classList.toggle("off", input.disabled);
    }
  }

  // The settings that differ from those of the run.
  query() {
    const query = new URLSearchParams();
    for (const { name, high, value, input } of this.settings) {
      const chosen = high ? input.value : String(input.checked);
      if (!input.disabled && chosen !== String(value)) query.set(name, chosen);
    }
    if (this.input.name !== null) query.set("name", this.input.name);
    return query;
  }

  // ── Output ──

  showError(message) {
    this.output.replaceChildren(create("p", "error", asSentence(message)));
  }

  async generate(reference = null) {
    this.running?.abort();
    this.running = new AbortController();
    const { signal } = this.running, query = this.query(), { body } = this.input;
    this.output.replaceChildren(create("p", "hint", "…"));
    const timer = setInterval(async () => {
      const { length } = await requestJson("api/queue", { signal }).catch(() => ({ length: 0 }));
      if (length > 1 && !signal.aborted) this.output.replaceChildren(create("p", "hint", `${length - 1} requests wait …`));
    }, PATIENCE_MS);
    try {
      const answer = await requestJson(`api/tabs/${this.number}/predict?${query}`, { method: "POST", body, signal });
      this.show(answer, reference, query, body);
    } catch (error) {
      if (error.name !== "AbortError") this.showError(error.message);
    } finally {
      clearInterval(timer);
    }
  }

  show(answer, reference, query, body) {
    const notes = answer.notes.map((note) => create("p", "note", asSentence(note)));
    const segments = answer.segments.map((segment, number) => this.showSegment(segment, number, query, body));
    const facts = [`${answer.seconds.toFixed(2)} s`];
    if (answer.score !== null) facts.unshift(`score ${answer.score.toPrecision(3)}`);
    if (reference) facts.unshift(`reference: ${reference}`);
    const line = create("p", "facts", facts.join("  ·  "));
    line.title = "The score is the log-likelihood, with beam search divided by a power of the length.";
    this.output.replaceChildren(...notes, ...segments);
    (this.output.querySelector(".sentence") ?? this.output).after(line);
    if (!this.output.contains(line)) this.output.append(line);
  }

  showSegment({ span, sentences, words = [], views = [] }, number, query, body) {
    const element = create("div", "segment");
    if (span && (number || span[0] > 0)) element.append(create("div", "span", `${clock(span[0])} to ${clock(span[1])}`));
    const sentence = create("p", "sentence");
    element.append(sentence);
    const spans = fillSentence(sentence, sentences[0]?.text ?? "", words);
    let pinned = null;
    const select = (word) => {
      const shown = word ?? pinned;
      spans.forEach((each, place) => each?.classList.toggle("now", place === shown));
      built.forEach(({ show }) => show(shown));
    };
    const mark = (weights) =>
      spans.forEach((each, place) => {
        if (each) each.style.background = weights ? `rgb(var(--accent) / ${Math.pow(weights[place], 0.6)})` : "";
      });
    const built = views.map((view) => buildView(view, words, { player: this.player, start: span?.[0] ?? 0, select, mark }));
    spans.forEach((each, place) => {
      if (!each) return;
      each.tabIndex = 0;
      each.addEventListener("pointerenter", () => select(place));
      each.addEventListener("pointerleave", () => select(null));
      each.addEventListener("focus", () => select(place));
      each.addEventListener("blur", () => select(null));
      each.addEventListener("click", () => {
        pinned = pinned === place ? null : place;
        select(place);
      });
    });
    if (built.length && !number)
      element.append(create("p", "hint", "Point at a word to see what it attended to; a click keeps it."));
    element.append(...built.map((each) => each.element));
    if (sentences.length > 1) element.append(ranking(sentences));
    if (built.length) element.append(this.plotButton(number, query, body));
    return element;
  }

  plotButton(number, query, body) {
    const place = create("div", "plot-file"), button = create("button", "quiet", "Plot as PNG");
    button.type = "button";
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        const address = `api/tabs/${this.number}/plot?${query}&segment=${number}`;
        const image = create("img"), link = create("a");
        image.alt = "plot of the attention weights";
        link.href = image.src = URL.createObjectURL(await (await request(address, { method: "POST", body })).blob());
        link.download = "attention.png";
        link.append(image);
        place.replaceChildren(link);
      } catch (error) {
        this.showError(error.message);
      }
    });
    place.append(button);
    return place;
  }
}

// Fill a sentence with its text, and return the element of each word; words that are not in the text have none.
function fillSentence(place, text, words) {
  let end = 0;
  const elements = words.map((word) => {
    const begin = text.indexOf(word, end);
    if (begin < 0 || !word) return null;
    place.append(text.slice(end, begin));
    end = begin + word.length;
    const element = create("span", "word", word);
    place.append(element);
    return element;
  });
  place.append(text.slice(end));
  return elements;
}

function ranking(sentences) {
  const table = create("table", "ranked"), head = table.createTHead().insertRow(), rows = table.createTBody();
  for (const title of ["", "Sentences", "Score"]) head.append(create("th", "", title));
  for (const [rank, { text, score }] of sentences.entries()) {
    const row = rows.insertRow();
    for (const value of [rank + 1, text, score.toPrecision(3)]) row.append(create("td", "", value));
  }
  return table;
}

const asSentence = (message) => `${message.replace(/^[a-z](?=[a-z]* )/, (letter) => letter.toUpperCase()).replace(/\.$/, "")}.`;

const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;

async function start() {
  const main = document.querySelector("main"), list = document.querySelector("nav");
  try {
    const { tabs, max_bytes: maxBytes } = await requestJson("api/tabs");
    const panels = tabs.map((tab, number) => new Panel(tab, number, maxBytes));
    const buttons = tabs.map(({ title, run }) => {
      const button = create("button");
      button.type = "button";
      button.setAttribute("role", "tab");
      button.append(create("b", "", title), create("small", "", run));
      return button;
    });
    const open = (chosen) => {
      panels.forEach(({ element }, number) => (element.hidden = number !== chosen));
      buttons.forEach((button, number) => button.setAttribute("aria-selected", number === chosen));
      panels[chosen].loadExamples();
    };
    buttons.forEach((button, number) => button.addEventListener("click", () => open(number)));
    list.append(...buttons);
    main.append(...panels.map(({ element }) => element));
    open(0);
  } catch (error) {
    main.append(create("p", "error", asSentence(error.message)));
  }
}

start();
