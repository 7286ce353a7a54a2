/** Which verdicts differ, and which explanation of the table covers each difference. */

export type Peer = 'crun' | 'runc';
export const PEERS: readonly Peer[] = ['crun', 'runc'];

/** The facts of one run by name; `verdict` is 'refused' or how the program ended. */
export type Facts = ReadonlyMap<string, string>;

export interface Difference {
  /** Names of the configuration's pieces; none is 'as it is'. */
  readonly pieces: readonly string[];
  readonly peer: Peer;
  readonly fact: string;
  readonly ours: string | undefined;
  readonly theirs: string | undefined;
}

export interface Explanation {
  /** Who differs from strata, and how. */
  readonly peers: readonly Peer[];
  readonly what: string;
  /** Why strata does it its way; the specification's sentence in quotes, where there is one. */
  readonly why: string;
  /** A configuration with a piece of such a name (any, if absent) that differs in such a fact, theirs being like this (anything, if absent). */
  readonly covers: readonly { readonly piece?: RegExp; readonly fact: RegExp; readonly theirs?: RegExp }[];
}

/** What a peer did differently. One that has refused, or been refused, cannot be compared any further. */
export function differences(pieces: readonly string[], ours: Facts, peer: Peer, theirs: Facts): Difference[] {
  const at = (fact: string): Difference => ({ pieces, peer, fact, ours: ours.get(fact), theirs: theirs.get(fact) });
  if (ours.get('verdict') !== theirs.get('verdict')) return [at('verdict')];
  if (ours.get('verdict') === 'refused') return [];
  return [...new Set([...ours.keys(), ...theirs.keys()])].filter((fact) => ours.get(fact) !== theirs.get(fact)).map(at);
}

/** The uses of each pattern of the table, by peer. */
export class Table {
  private readonly explanations: readonly Explanation[];
  private readonly used = new Set<string>();

  constructor(explanations: readonly Explanation[]) {
    this.explanations = explanations;
  }

  explains(difference: Difference): boolean {
    let found = false;
    for (const [row, { peers, covers }] of this.explanations.entries()) {
      if (!peers.includes(difference.peer)) continue;
      for (const [column, { piece, fact, theirs }] of covers.entries()) {
        if (!fact.test(difference.fact) || (theirs && !theirs.test(difference.theirs ?? 'absent'))) continue;
        if (piece && !difference.pieces.some((name) => piece.test(name))) continue;
        this.used.add(`${row} ${column} ${difference.peer}`);
        found = true;
      }
    }
    return found;
  }

  /** What no difference needed, in words. */
  unused(): string[] {
    return this.explanations.flatMap(({ what, peers, covers }, row) =>
      covers.flatMap(({ piece, fact, theirs }, column) =>
        peers
          .filter((peer) => !this.used.has(`${row} ${column} ${peer}`))
          .map((peer) => `${peer}, ${what}: ${piece ?? 'any'} ${fact} ${theirs ?? 'anything'}`),
      ),
    );
  }
}

/** The table for people, in Markdown. */
export function markdown(explanations: readonly Explanation[]): string {
  return [
    '| | what it does | what strata does, and why |',
    '|---|---|---|',
    ...explanations.map(({ peers, what, why }) => `| ${peers.join(', ')} | ${what} | ${why} |`),
  ].join('\n');
}
