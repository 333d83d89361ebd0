// Sorts and filters tables. Without it the pages are the same tables in their first order.
"use strict";

(() => {
  const rowsOf = (body) => [...body.rows].filter((row) => !row.classList.contains("group"));

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const given = cell.dataset.value;
    return given === undefined ? cell.textContent.trim().toLowerCase() : given === "" ? null : Number(given);
  };

  // Cells without a value stay last in either direction.
  const compare = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (typeof a === "number" ? a - b : a < b ? -1 : a > b ? 1 : 0);
  };

  const makeSortable = (table) => {
    const heads = [...table.querySelectorAll("thead th[data-sort]")];
    const sortBy = (head) => {
      const numeric = head.dataset.sort !== "text";
      const first = numeric ? "descending" : "ascending";
      const other = numeric ? "ascending" : "descending";
      const direction = head.getAttribute("aria-sort") === first ? other : first;
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", direction);
      const column = Number(head.dataset.column);
      const sign = direction === "ascending" ? 1 : -1;
      for (const body of table.tBodies) {
        rowsOf(body)
          .map((row, place) => ({ row, place, value: valueOf(row, column) }))
          .sort((a, b) => compare(a.value, b.value, sign) || a.place - b.place)
          .forEach(({ row }) => body.append(row));
      }
    };
    for (const head of heads) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sortBy(head));
    }
  };

  const makeFilterable = (form) => {
    const table = document.getElementById(form.dataset.table);
    const status = form.querySelector("[role=status]");
    const words = form.elements.namedItem("words");
    const trust = form.elements.namedItem("trust");
    const apply = () => {
      const wanted = words.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
      const least = trust ? Number(trust.value) : -1;
      let all = 0;
      let shown = 0;
      for (const body of table.tBodies) {
        let left = 0;
        for (const row of rowsOf(body)) {
          const text = row.textContent.toLowerCase();
          const level = Number(row.dataset.trust ?? -1);
          row.hidden = !(wanted.every((word) => text.includes(word)) && level >= least);
          all += 1;
          left += !row.hidden;
        }
        for (const group of body.querySelectorAll("tr.group")) group.hidden = left === 0;
        shown += left;
      }
      status.textContent = `${shown} of ${all} rows shown`;
    };
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
    apply();
  };

  document.querySelectorAll("table[data-sortable]").forEach(makeSortable);
  document.querySelectorAll("form[data-table]").forEach(makeFilterable);
})();
