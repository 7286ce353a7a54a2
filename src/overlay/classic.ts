/** The stack as mount(2) takes it: what is left on kernels whose overlayfs does not know `lowerdir+` (before Linux 6.8). */
import { StrataError } from '../base/error.ts';
import { OVERLAY_POINTER, type Stack } from './stack.ts';

/** Bytes of mount data that mount(2) takes: a page, less the final NUL. */
const LIMIT = 4095;

/**
 * The mount data. Layers are separated by colons and options by commas, so both, and the backslash itself, are escaped in paths.
 *
 * @throws StrataError `config-unsupported` if the layers do not fit; the reason names the number that does.
 */
export function classicData({ lower, upper, work, options }: Stack): string {
  const head = options.map(quoted);
  if (upper !== undefined && work !== undefined) head.push(`upperdir=${escaped(upper)}`, `workdir=${escaped(work)}`);
  const layers = lower.map((layer) => escaped(layer).replaceAll(':', '\\:'));
  const fit = fitting(layers, utf8Length([...head, 'lowerdir='].join(',')));
  if (fit === layers.length) return [...head, `lowerdir=${layers.join(':')}`].join(',');
  throw new StrataError({
    code: 'config-unsupported',
    stage: 'plan',
    pointer: OVERLAY_POINTER,
    reason: `the ${lower.length} lower layers do not fit into the ${LIMIT} bytes that this kernel takes: only the first ${fit} do`,
    hint: 'Linux 6.8 and later take up to 500 layers; shorter paths help too',
  });
}

/** A security label may have commas; its module, which reads it before overlayfs does, takes it in quotes. */
function quoted(option: string): string {
  return option.includes(',') ? option.replace(/=(.*)$/s, '="$1"') : option;
}

function escaped(path: string): string {
  return path.replace(/[\\,]/g, '\\$&');
}

/** How many of `layers`, with colons between them, fit behind `used` bytes. */
function fitting(layers: readonly string[], used: number): number {
  let size = used - 1;
  for (const [index, layer] of layers.entries()) {
    size += 1 + utf8Length(layer);
    if (size > LIMIT) return index;
  }
  return layers.length;
}

/** Length in UTF-8; a lone surrogate counts as the U+FFFD that it becomes. */
function utf8Length(text: string): number {
  let size = 0;
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    size += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return size;
}
