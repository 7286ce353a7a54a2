/**
 * The stack of layers that makes a container's root: the annotation `dev.strata.overlay`, whose value is JSON.
 *
 *     { "lower": ["/layers/3", "/layers/2", "/layers/1"], "upper": "upper", "work": "work", "options": ["volatile"] }
 */
import { StrataError } from '../base/error.ts';
import { parseExact } from '../base/json.ts';
import { pointer } from '../base/pointer.ts';
import type { Spec } from '../spec/types.ts';
import { fromBundle } from './path.ts';

export const OVERLAY_ANNOTATION = 'dev.strata.overlay';

/** Where an error about the stack points. */
export const OVERLAY_POINTER = pointer('/annotations', OVERLAY_ANNOTATION);

/** OVL_MAX_STACK of the kernel's overlayfs: lower layers of one mount. */
export const MOST_LAYERS = 500;

/** All directories are host paths, absolute. */
export interface Stack {
  /** Top to bottom, 1 to 500. */
  readonly lower: readonly string[];
  /** Where changes go; absent for a read-only root. `upper` and `work` come together. */
  readonly upper?: string;
  readonly work?: string;
  /** Overlay options, `key` or `key=value`, that do not name layers. */
  readonly options: readonly string[];
}

/** Options that would name layers behind the back of `lower`, `upper` and `work`. */
const LAYER_OPTIONS: readonly string[] = ['lowerdir', 'lowerdir+', 'datadir+', 'upperdir', 'workdir'];
const KEYS: readonly string[] = ['lower', 'upper', 'work', 'options'];

/**
 * The stack that the annotation asks for, with relative directories taken from `bundle`; undefined without the annotation.
 *
 * @throws StrataError `config-invalid` when the annotation is not of the form above; its pointer is the annotation's, and its reason names the
 *   property inside.
 */
export function overlayOf(spec: Spec, bundle: string): Stack | undefined {
  const text = spec.annotations[OVERLAY_ANNOTATION];
  if (text === undefined) return undefined;
  const value = parseValue(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('', 'must be an object');
  const object = value as Readonly<Record<string, unknown>>;
  for (const key of Object.keys(object)) if (!KEYS.includes(key)) throw invalid(pointer('', key), `is not known; an overlay has ${KEYS.join(', ')}`);

  const lower = strings(object, 'lower');
  if (lower === undefined) throw invalid('/lower', 'is required: the layers, from top to bottom');
  if (lower.length === 0) throw invalid('/lower', 'must name at least one layer');
  if (lower.length > MOST_LAYERS) throw invalid('/lower', `names ${lower.length} layers; the kernel stacks at most ${MOST_LAYERS}`);
  const directories = lower.map((layer, index) => directory(layer, bundle, pointer('/lower', index)));
  const options = strings(object, 'options') ?? [];
  options.forEach((option, index) => {
    checkOption(option, pointer('/options', index));
  });

  const { upper, work } = object;
  if (upper === undefined && work === undefined) return { lower: directories, options };
  if (work === undefined) throw invalid('/work', 'is required with upper: an empty directory on the same file system');
  if (upper === undefined) throw invalid('/upper', 'is required with work');
  return { lower: directories, upper: directory(upper, bundle, '/upper'), work: directory(work, bundle, '/work'), options };
}

function parseValue(text: string): unknown {
  try {
    return parseExact(text);
  } catch (error) {
    // The pointer inside the annotation's text would read as one into config.json.
    if (error instanceof StrataError) throw invalid('', `is not JSON: ${error.reason}`);
    throw error;
  }
}

function strings(object: Readonly<Record<string, unknown>>, key: string): readonly string[] | undefined {
  const value = object[key];
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) throw invalid(`/${key}`, 'must be an array of strings');
  value.forEach((item, index) => {
    if (typeof item !== 'string') throw invalid(pointer(`/${key}`, index), 'must be a string');
  });
  return value as string[];
}

function directory(value: unknown, bundle: string, at: string): string {
  if (typeof value !== 'string') throw invalid(at, 'must be a string');
  if (value === '') throw invalid(at, 'must not be empty');
  if (value.includes('\0')) throw invalid(at, 'must not contain a NUL character');
  return fromBundle(bundle, value);
}

function checkOption(option: string, at: string): void {
  if (option === '') throw invalid(at, 'must not be empty');
  if (option.includes('\0')) throw invalid(at, 'must not contain a NUL character');
  if (option.includes(',')) throw invalid(at, 'must be one option, without a comma');
  const key = option.split('=', 1)[0] ?? '';
  if (LAYER_OPTIONS.includes(key)) throw invalid(at, `must not set ${key}: name the directories in lower, upper and work`);
}

function invalid(inner: string, reason: string): StrataError {
  return new StrataError({
    code: 'config-invalid',
    pointer: OVERLAY_POINTER,
    stage: 'check',
    reason: inner === '' ? `the value ${reason}` : `${inner} ${reason}`,
  });
}
