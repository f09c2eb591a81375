/** A QR code as the path of a drawing. */

/** Bright modules around a code, without which readers do not find it. */
export const QUIET_MODULES = 4;

/** The dark modules of `rows` as one path, a rectangle for each run of them; the corner of the first module is at (0, 0). */
export function darkPath(rows: readonly string[]): string {
  return rows.map((row, y) => [...row.matchAll(/1+/g)].map((run) => `M${run.index} ${y}h${run[0].length}v1h-${run[0].length}z`).join('')).join('');
}
