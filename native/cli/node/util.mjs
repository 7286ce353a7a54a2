// Stands in for node:util in the static command: its help has no colours that would have to be removed.
export const stripVTControlCharacters = (text) => text;
