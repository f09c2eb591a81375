/**
 * The ladder from the first share to a block. A share ten times as good is ten times as rare, so the rungs are
 * powers of ten and the top is the network's difficulty.
 */

/** A marked power of ten. */
export interface Rung {
  /** Its difficulty. */
  difficulty: number;
  /** Where it stands, 0 at the foot, 1 at the network's difficulty. */
  position: number;
}

/** Where the ladder starts: 1, or lower on networks whose own difficulty is below a thousand. */
export function ladderFoot(networkDifficulty: number): number {
  if (!(networkDifficulty > 0)) return 1;
  return Math.min(1, networkDifficulty / 1e6);
}

/** Place of a difficulty on the ladder, 0 to 1. */
export function ladderPosition(difficulty: number, networkDifficulty: number): number {
  const foot = ladderFoot(networkDifficulty);
  if (!(difficulty > foot) || !(networkDifficulty > foot)) return 0;
  return Math.min(1, Math.log(difficulty / foot) / Math.log(networkDifficulty / foot));
}

/** At most `countMax` powers of ten strictly between foot and top, evenly thinned. */
export function ladderRungs(networkDifficulty: number, countMax = 5): Rung[] {
  const foot = ladderFoot(networkDifficulty);
  const first = Math.floor(Math.log10(foot)) + 1;
  const last = Math.ceil(Math.log10(networkDifficulty)) - 1;
  if (!(last >= first)) return [];
  const step = [1, 2, 3, 6, 9].find((candidate) => Math.floor((last - first) / candidate) + 1 <= countMax) ?? 12;
  const rungs: Rung[] = [];
  for (let exponent = first; exponent <= last; exponent += 1) {
    if (exponent % step !== 0) continue;
    const difficulty = 10 ** exponent;
    rungs.push({ difficulty, position: ladderPosition(difficulty, networkDifficulty) });
  }
  return rungs;
}
