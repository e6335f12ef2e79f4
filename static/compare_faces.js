// What one question looks like, in each of the three modes.
function html(strings, ...values) {
  const safe = (value) => String(value).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
  const holder = document.createElement("template");
  holder.innerHTML = strings.reduce((text, part, place) => text + (place ? safe(values[place - 1]) : "") + part, "").trim();
  // A template belongs to a document that never decodes pictures; ours must.
  return document.importNode(holder.content.firstElementChild, true);
}

// ---- faces of one question ------------------------------------------------------------------------------------
const WORDS = {
  odd_one_out: "Which face has the most different expression?",
  head_two: "Which of the two is more like the framed face in expression?",
  grid: "Which two are most like the framed face in expression?",
};
const HOW = {
  odd_one_out: "You see three faces and choose the odd one out.",
  head_two: "You see a face in a frame and choose which of two others is more like it.",
  grid: "You see a face in a frame and choose the two of eight others that are most like it.",
};
const EXAMPLE = {
  odd_one_out: "An example: the outlined face differs most.",
  head_two: "An example: the outlined face is more like the first one.",
  grid: "An example: the outlined face is more like the first one than the last is.",
};

function choices(question) {
  return question.mode === "odd_one_out" ? question.faces : question.faces.slice(1);
}

function build(question) {
  const panel = html`<div class="three" role="group" aria-label="Faces"></div>`;
  panel.classList.add(question.mode.replaceAll("_", "-"));
  const answerable = choices(question);
  question.picked = [];
  question.faces.forEach((face) => {
    const number = answerable.indexOf(face) + 1;
    const button = number
      ? html`<button type="button" class="face" data-number="${number}" aria-label="Face ${number}"><kbd>${number}</kbd></button>`
      : html`<figure class="face head"></figure>`;
    if (number && question.mode === "grid") button.setAttribute("aria-pressed", "false");
    button.dataset.face = face.id;
    if (face.src) {
      const picture = new Image();
      picture.alt = number ? `Face ${number} of ${answerable.length}` : "The face to compare with";
      picture.draggable = false;
      picture.src = face.src;
      button.prepend(picture);
    } else {
      button.prepend(html`<p class="missing">This picture is missing</p>`);
    }
    panel.append(button);
  });
  question.panel = panel;
  question.ready = Promise.all([...panel.querySelectorAll("img")].map((picture) => picture.decode().catch(() => {})));
  return question;
}

// Two of eight are chosen: the first press marks a face, the same press again takes the mark off.
function pick(question, face) {
  const place = question.picked.indexOf(face);
  place < 0 ? question.picked.push(face) : question.picked.splice(place, 1);
  for (const button of question.panel.querySelectorAll("button.face")) {
    const chosen = question.picked.some((one) => String(one.id) === button.dataset.face);
    button.setAttribute("aria-pressed", String(chosen));
  }
  return question.picked.length === 2;
}

function exampleOf(example, mode) {
  const figure = html`<figure><div class="row"></div><figcaption>${EXAMPLE[mode]}</figcaption></figure>`;
  example.faces.forEach((face, place) => {
    if (!face.src) return;
    const picture = new Image();
    picture.src = face.src;
    picture.alt = `Example face ${place + 1}${face.id === example.odd ? ", the one to choose" : ""}`;
    picture.classList.toggle("odd", face.id === example.odd);
    figure.querySelector(".row").append(picture);
  });
  return figure;
}
