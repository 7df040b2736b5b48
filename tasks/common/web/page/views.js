// Views of the attention: each is an element, and a function that shows one word, or none.

const accent = () => getComputedStyle(document.documentElement).getPropertyValue("--accent").trim();
const tint = (weight) => `rgb(${accent()} / ${Math.min(1, 0.92 * Math.pow(weight, 0.6))})`;
const most = (values) => Math.max(...values, 1e-6);

export function create(tag, className = "", text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

// The view of what was read, seen or heard.
//   player: the media element that plays the input, if there is one
//   start:  the second at which the segment begins
//   select: is called with a word that is pointed at in the view, or null
//   mark:   is called with a weight for each word
export function buildView(view, words, { player, start, select, mark }) {
  if (view.kind === "text") return textView(view, mark);
  if (view.kind === "sound") return soundView(view, words, player, start, select);
  return framesView(view, player);
}

// A heat map of the source, which follows the word under the pointer; and the words that attended to a source token.
function textView({ source, weights }, mark) {
  const element = create("p", "source view");
  const tokens = source.map((text, place) => {
    const isEnd = text === "</s>";
    const token = create("span", isEnd ? "token end" : "token", isEnd ? "end" : text.replace(/^·/, ""));
    if (place && !isEnd && text.startsWith("·")) element.append(" ");
    token.addEventListener("pointerenter", () => mark(weights.map((row) => row[place])));
    token.addEventListener("pointerleave", () => mark(null));
    element.append(token);
    return token;
  });
  const show = (word) =>
    tokens.forEach((token, place) => {
      const weight = word === null ? 0 : weights[word][place];
      token.style.background = word === null ? "" : tint(weight);
      token.classList.toggle("strong", weight > 0.5);
      token.title = word === null ? "" : `attention weight ${weight.toFixed(2)}`;
    });
  return { element, show };
}

// An image, or some frames of a video: dark where a word did not attend.
function framesView({ pictures, times, weights }, player) {
  const element = create("div", pictures.length === 1 ? "frames single view" : "frames view");
  const frames = pictures.map((address, place) => {
    const figure = create("figure"), canvas = create("canvas"), picture = new Image();
    picture.onload = () => {
      canvas.width = Math.max(picture.width, 256);
      canvas.height = Math.round((canvas.width * picture.height) / picture.width);
      paint(canvas, picture, null);
    };
    picture.src = address;
    figure.append(canvas);
    if (times) {
      figure.append(create("figcaption", "", `${times[place].toFixed(2)} s`));
      if (player) {
        figure.classList.add("seekable");
        figure.addEventListener("click", () => (player.currentTime = times[place] + 1e-3));
      }
    }
    element.append(figure);
    return { figure, canvas, picture };
  });
  if (player && times)
    player.addEventListener("timeupdate", () => {
      const now = times.findLastIndex((time) => time <= player.currentTime);
      frames.forEach(({ figure }, place) => figure.classList.toggle("playing", !player.paused && place === now));
    });
  const show = (word) => {
    const largest = word === null ? 1 : most(weights[word].flat(2));
    frames.forEach(({ figure, canvas, picture }, place) => {
      const regions = word === null ? null : weights[word][place].map((row) => row.map((each) => each / largest));
      paint(canvas, picture, regions);
      figure.classList.toggle("lit", regions !== null && most(regions.flat()) > 0.5);
    });
    if (frames.every(({ figure }) => figure.classList.contains("lit"))) // then there is nothing to tell them apart
      frames.forEach(({ figure }) => figure.classList.remove("lit"));
  };
  return { element, show };
}

// Paint a picture; where regions have small weights, from 0 to 1, it is darker, and where they have large ones, cyan.
// Weights change smoothly from region to region.
function paint(canvas, picture, regions) {
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  if (!regions) return;
  for (const layer of [shade(regions), layerOf(regions, [34, 211, 238], (weight) => 0.3 * weight)])
    context.drawImage(layer, 0, 0, canvas.width, canvas.height);
}

// A small black image, the more opaque the smaller the weight.
const shade = (regions) => layerOf(regions, [0, 0, 0], (weight) => 0.75 * (1 - weight));

// A small image of one color; a weight from 0 to 1 says how opaque each pixel is.
function layerOf(rows, color, opacity) {
  const image = new ImageData(rows[0].length, rows.length), canvas = create("canvas");
  rows.flat().forEach((weight, place) => image.data.set([...color, 255 * opacity(weight)], 4 * place));
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// A spectrogram, and below it the weights of each word over the same seconds; a click plays from there.
function soundView({ picture, duration_s: duration, weights }, words, player, start, select) {
  const element = create("div", "sound view"), labels = create("div", "labels"), plot = create("div", "plot");
  const spectrogram = new Image(), head = create("div", "head");
  const matrix = layerOf(weights, accent().split(" ").map(Number), (weight) => Math.pow(weight, 0.7));
  const numStates = weights[0].length;
  let shadow = create("canvas", "shade");
  spectrogram.src = picture;
  spectrogram.alt = "spectrogram";
  matrix.className = "matrix";
  matrix.style.height = `${1.25 * words.length}rem`;
  head.hidden = true;
  const rows = words.map((word, place) => {
    const row = create("div", "", word);
    row.addEventListener("pointerenter", () => select(place));
    row.addEventListener("pointerleave", () => select(null));
    labels.append(row);
    return row;
  });
  plot.append(spectrogram, matrix, shadow, head);
  const axis = create("div", "axis");
  const steps = duration > 8 ? 8 : 4;
  for (let step = 0; step <= steps; step++)
    axis.append(create("span", "", `${(start + (step * duration) / steps).toFixed(1)} s`));
  element.append(labels, plot, axis);

  const show = (word) => {
    rows.forEach((row, place) => row.classList.toggle("now", place === word));
    const relative = word === null ? null : weights[word].map((weight) => weight / most(weights[word]));
    const next = relative === null ? create("canvas") : shade([relative]);
    shadow.replaceWith(next);
    shadow = next;
    shadow.className = "shade";
  };

  if (player) {
    const play = create("button", "quiet play", "▶ Play");
    play.type = "button";
    element.append(play);
    const follow = () => {
      const share = (player.currentTime - start) / duration;
      const isInside = share >= 0 && share <= 1 && !player.paused;
      head.hidden = !isInside;
      play.textContent = isInside ? "❚❚ Pause" : "▶ Play";
      if (isInside) {
        head.style.left = `${100 * share}%`;
        const state = Math.min(numStates - 1, Math.floor(share * numStates));
        const heard = weights.map((row) => row[state]);
        if (most(heard) > 0.2) select(heard.indexOf(most(heard)));
        requestAnimationFrame(follow);
      } else {
        select(null);
        if (share > 1 && !player.paused && player.dataset.until === String(start)) player.pause();
      }
    };
    const playFrom = (second) => {
      player.dataset.until = String(start);
      player.currentTime = second;
      player.play();
    };
    player.addEventListener("playing", follow);
    player.addEventListener("pause", follow);
    play.addEventListener("click", () => (player.paused ? playFrom(start) : player.pause()));
    plot.addEventListener("click", (event) => {
      const box = plot.getBoundingClientRect();
      playFrom(start + ((event.clientX - box.left) / box.width) * duration);
    });
  }
  return { element, show };
}
