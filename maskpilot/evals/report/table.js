"use strict";
(() => {
  const table = document.querySelector("#samples table");
  if (!table) return;
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const names = heads.map((head) => head.dataset.name);
  const rows = [...body.rows].map((row) => {
    const cells = [...row.cells].map((cell) => cell.textContent);
    return { row, cells, words: cells.join(" ").toLowerCase() };
  });

  const compare = (column, sign) => (one, other) => {
    const a = one.cells[column], b = other.cells[column];
    if (a === b) return 0;
    if (a === "" || b === "") return a === "" ? 1 : -1;
    const difference = Number(a) - Number(b);
    return sign * (Number.isNaN(difference) ? a.localeCompare(b) : difference);
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.ariaSort === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.ariaSort = down ? "descending" : "ascending";
      rows.sort(compare(column, down ? -1 : 1));
      body.replaceChildren(...rows.map((one) => one.row));
    });
  });

  const term = (written) => {
    const found = /^([^<>=]+)(<=|>=|<|>|=)(.*)$/.exec(written);
    const column = found ? names.findIndex((name) => name.toLowerCase() === found[1]) : -1;
    if (column < 0) return (one) => one.words.includes(written);
    const [, , sign, wanted] = found;
    if (sign === "=") return (one) => one.cells[column].toLowerCase() === wanted;
    const limit = Number(wanted);
    return (one) => {
      const value = one.cells[column];
      if (value === "" || wanted === "") return wanted === "";
      return sign === "<" ? value < limit : sign === "<=" ? value <= limit
        : sign === ">" ? value > limit : value >= limit;
    };
  };

  const filters = document.createElement("div");
  const input = document.createElement("input");
  const count = document.createElement("span");
  filters.className = "filters";
  count.className = "quiet";
  input.type = "search";
  input.placeholder = "words, iou<0.5, gain>=0.2, stop=finished";
  input.setAttribute("aria-label", "Filter samples");
  const apply = () => {
    // What stands in quotes stays together: a column and its values may have spaces.
    const written = input.value.toLowerCase().match(/("[^"]*"?|[^\s"])+/g) ?? [];
    const terms = written.map((one) => term(one.replaceAll('"', "")));
    let shown = 0;
    for (const one of rows) {
      const fits = terms.every((test) => test(one));
      one.row.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${rows.length} sample${rows.length === 1 ? "" : "s"}`;
  };
  input.addEventListener("input", apply);
  filters.append(input, count);
  table.parentElement.before(filters);
  apply();
})();
