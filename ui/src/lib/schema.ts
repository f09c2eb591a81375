/**
 * Checks that an answer has the shape it is used by, so that a pool of another version gives a sentence and not a
 * broken page. Keys that are not named are let through and ignored.
 */

/** Says where an answer is not what was expected. */
export class ShapeError extends Error {
  override name = 'ShapeError';
}

/** A check that gives the value back with its type, or throws a `ShapeError`. */
export type Shape<T> = (value: unknown, path: string) => T;

/** The type that a shape lets through. */
export type Shaped<S> = S extends Shape<infer T> ? T : never;

function wrong(path: string, expected: string, value: unknown): never {
  const found = value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value;
  throw new ShapeError(`${path}: ${expected} expected, found ${found}`);
}

export const number: Shape<number> = (value, path) => (typeof value === 'number' ? value : wrong(path, 'a number', value));

export const string: Shape<string> = (value, path) => (typeof value === 'string' ? value : wrong(path, 'a text', value));

export const boolean: Shape<boolean> = (value, path) => (typeof value === 'boolean' ? value : wrong(path, 'true or false', value));

export function nullable<T>(shape: Shape<T>): Shape<T | null> {
  return (value, path) => (value === null || value === undefined ? null : shape(value, path));
}

export function list<T>(shape: Shape<T>): Shape<T[]> {
  return (value, path) => (Array.isArray(value) ? value.map((item, index) => shape(item, `${path}[${index}]`)) : wrong(path, 'a list', value));
}

export function record<T>(shape: Shape<T>): Shape<Record<string, T>> {
  return (value, path) => {
    if (!isObject(value)) return wrong(path, 'an object', value);
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, shape(item, `${path}.${key}`)]));
  };
}

export function object<F extends Record<string, Shape<unknown>>>(fields: F): Shape<{ [K in keyof F]: Shaped<F[K]> }> {
  return (value, path) => {
    if (!isObject(value)) return wrong(path, 'an object', value);
    const checked = Object.entries(fields).map(([key, shape]) => [key, shape(value[key], `${path}.${key}`)]);
    return Object.fromEntries(checked) as { [K in keyof F]: Shaped<F[K]> };
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
