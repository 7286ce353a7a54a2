// What is to be reached, as ratios of medians within one run. The same of the minima says what a quieter machine might show.

/** The peers that the limits were set against. */
export const meantFor = { crun: '1.28', runc: '1.3.6' };

const ratio = (what, of, to, limit) => ({ what, limit, unit: '×', value: (results, kind) => results[of][kind] / results[to][kind], needs: [of, to] });
const memory = (what, of, limit) => ({ what, limit, unit: 'MB', value: (results) => results[of].peakRssKiB / 1024, needs: [of] });
const added = (what, of, to, limit) => ({
  what,
  limit,
  unit: 'ms',
  value: (results, kind) => results[of][kind] - results[to][kind],
  needs: [of, to],
});

const targets = [
  ratio('run / floor', 'run.strata', 'run.floor', 1.6),
  ratio('run / crun warm', 'run.strata', 'run.crun.warm', 0.75),
  ratio('run / crun cold', 'run.strata', 'run.crun.cold', 0.3),
  ratio('run / runc', 'run.strata', 'run.runc', 0.22),
  memory('run, peak RSS', 'run.strata', 3),
  ratio('exec / floor', 'exec.strata', 'exec.floor', 2.3),
  ratio('exec / crun warm', 'exec.strata', 'exec.crun.warm', 0.55),
  ratio('state / crun', 'state.strata', 'state.crun', 0.6),
  ratio('state / runc', 'state.strata', 'state.runc', 0.4),
  memory('state, peak RSS', 'state.strata', 3),
  ratio('run with seccomp / crun, caches warm', 'seccomp.strata', 'seccomp.crun.warm', 0.6),
  added('seccomp, added to run', 'seccomp.strata', 'seccomp.none', 0.5),
  ratio('create, start, delete / crun warm', 'steps.strata', 'steps.crun.warm', 0.8),
  ratio('50 by 8 processes / crun', 'many.strata', 'many.crun', 0.8),
  ratio('library warm / floor', 'library.warm', 'run.floor', 1.15),
  ratio('library warm / crun warm', 'library.warm', 'run.crun.warm', 0.55),
  ratio('library warm / crun cold', 'library.warm', 'run.crun.cold', 0.25),
  ratio('library warm / runc', 'library.warm', 'run.runc', 0.17),
  ratio('library, 8 at once / crun, 8 at once', 'library.eight', 'eight.crun', 0.6),
  ratio('library, 8 at once / runc, 8 at once', 'library.eight', 'eight.runc', 0.17),
  ratio('import, one layer / tar -xzf', 'import.strata', 'import.tar', 1.3),
  ratio('import, eight layers / umoci unpack', 'layers8.strata', 'layers8.umoci', 0.8),
  ratio('import, eight layers / podman load', 'layers8.archive', 'layers8.podman', 0.8),
  memory('import, peak RSS', 'import.strata', 150),
  memory('import of the large layer, peak RSS', 'large.strata', 150),
  ratio('commit / podman commit', 'commit.small.strata', 'commit.small.podman', 0.2),
  ratio('commit on the large image / podman commit', 'commit.large.strata', 'commit.large.podman', 0.2),
  ratio('commit on the large image / on the small one', 'commit.large.strata', 'commit.small.strata', 1.1),
  added('run --image, added to run of a bundle', 'run.image', 'run.bundle', 1),
];

/** The targets of which both sides were measured, with what came out. */
export const judge = (results) =>
  targets
    .filter(({ needs }) => needs.every((key) => results[key]))
    .map(({ what, limit, unit, value }) => {
      const measured = value(results, 'median');
      return { what, measured, ofMinima: value(results, 'min'), limit, unit, reached: measured <= limit };
    });
