// Makes the long selects of a page searchable, outside the campaign form, which does so for its own.

import { makeSearchable } from "./searchable.js";

for (const select of document.querySelectorAll("select[data-search]")) makeSearchable(select);
