// Keyed table rows: cells change in place, so focus and scroll position survive every update.

export function element(name, attributes = {}, text = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  if (text !== "") made.textContent = text;
  return made;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// items: anything with `key(item)`; create(item) makes a <tr>, update(row, item) fills it.
export function syncRows(body, items, { key, create, update, empty }) {
  const known = new Map([...body.children].map((row) => [row.dataset.key, row]));
  let place = 0;
  for (const item of items) {
    const name = String(key(item));
    let row = known.get(name);
    if (!row) {
      row = create(item);
      row.dataset.key = name;
    }
    known.delete(name);
    if (body.children[place] !== row) body.insertBefore(row, body.children[place] ?? null);
    update(row, item);
    place += 1;
  }
  for (const row of known.values()) row.remove();
  if (!items.length && empty) {
    const row = element("tr", { class: "empty", "data-key": "" });
    row.append(element("td", { colspan: "12" }, empty));
    body.append(row);
  }
}

export function cells(count) {
  const row = element("tr");
  for (let place = 0; place < count; place += 1) row.append(element("td"));
  return row;
}

export function choices(box, options, chosen, choose) {
  const wanted = options.map(([value]) => value).join("|");
  if (box.dataset.options !== wanted) {
    box.dataset.options = wanted;
    box.replaceChildren(...options.map(([value, label]) => element("button", { type: "button", "data-value": value, onclick: () => choose(value) }, label)));
  }
  for (const button of box.children) button.setAttribute("aria-pressed", String(button.dataset.value === chosen));
}
