/**
 * Faults that are put into the indexer one at a time. Each must be found by a test.
 * `find` stands exactly once in its file; `tests` are the smallest that should fail; those that kill processes run compiled code.
 */
export const MUTANTS = [
  {
    name: 'no fence: a write is taken whatever its token',
    patches: [
      {
        file: 'src/indexer/state/lmdb/rows.ts',
        find: 'if (row === undefined || row.lease?.token !== claim.token) throw lost(claim.key)',
        replace: 'if (row === undefined) throw lost(claim.key)',
      },
    ],
    tests: ['test/indexer/lmdb-state.test.ts'],
  },
  {
    name: 'a release notes what was observed, not what was processed',
    patches: [
      {
        file: 'src/indexer/state/lmdb/queue.ts',
        find: 'processedRev: woken ? null : claim.revision',
        replace: 'processedRev: free.observedRev',
      },
    ],
    tests: ['test/indexer/lmdb-state.test.ts'],
  },
  {
    name: 'the ledger moves before the sink has it',
    patches: [
      {
        file: 'src/indexer/sending.ts',
        find: 'const applied = (await hasSink(engine, record)) ? await send(engine, lease, due, stopping) : emptied(record)',
        replace: `await state.commit(lease.claim, seq === undefined ? { unlogged: record } : { wal: { seq, record, replayed } })
  const applied = (await hasSink(engine, record)) ? await send(engine, lease, due, stopping) : emptied(record)`,
      },
      {
        file: 'src/indexer/sending.ts',
        find: 'await state.commit(lease.claim, seq === undefined ? { unlogged: applied } : { wal: { seq, record: applied, replayed } })',
        replace: 'void seq',
      },
    ],
    tests: ['test/indexer/crash.test.ts'],
    only: 'killed at a point f:|killed at a point g:',
  },
  {
    name: 'a claim does not send the pending record first',
    patches: [
      {
        file: 'src/indexer/index-session.ts',
        find: 'if (claim.wal !== undefined && !(await drainPending(engine, lease, claim.wal)))',
        replace: 'if (claim.wal === -1 && !(await drainPending(engine, lease, claim.wal)))',
      },
    ],
    tests: ['test/indexer/crash.test.ts'],
    only: 'killed at a point e:|killed at a point g:',
  },
  {
    name: 'nothing is compared after a takeover from an owner that may live',
    patches: [
      {
        file: 'src/indexer/state/lmdb/leases.ts',
        find: 'askToVerify(t, key, before, { ...before, suspects }, now)',
        replace: 'putSession(t, key, before, { ...before, suspects })',
      },
    ],
    tests: ['test/indexer/lmdb-state.test.ts'],
  },
  {
    name: 'an owner that comes back says nothing',
    patches: [{ file: 'src/indexer/run.ts', find: '  await state.lost(claim)\n', replace: '' }],
    tests: ['test/indexer/returned-owner.test.ts'],
  },
  {
    name: 'the comparison is marked as done and not made',
    patches: [
      {
        file: 'src/indexer/index-session.ts',
        find: 'if (claim.verify !== undefined) await repairSink(engine, lease)',
        replace: 'if (claim.verify === -1) await repairSink(engine, lease)',
      },
    ],
    tests: ['test/indexer/repair.test.ts', 'test/indexer/flaws.test.ts'],
  },
  {
    name: 'suspects are never settled',
    patches: [
      {
        file: 'src/indexer/state/lmdb/leases.ts',
        find: 'for (const { key, tokens } of suspects) settle(t, key, tokens, now)',
        replace: 'if (suspects.length < 0) settle(t, suspects[0].key, suspects[0].tokens, now)',
      },
    ],
    tests: ['test/indexer/lmdb-state.test.ts'],
  },
  {
    name: 'a listing that failed counts as complete',
    patches: [
      {
        file: 'src/indexer/session-source.ts',
        find: 'const complete = isThere(store) && !hiding.some((issue) => concerns(issue, store.path))',
        replace: 'const complete = hiding.length >= 0 || (isThere(store) && hiding.some((issue) => concerns(issue, store.path)))',
      },
    ],
    tests: ['test/indexer/session-source.test.ts', 'test/indexer/live-source.test.ts'],
  },
  {
    name: 'what a listing lacks is deleted, however it ended',
    patches: [{ file: 'src/indexer/observe.ts', find: 'else if (looked.complete) absent.push(held)', replace: 'else gone.push(held.key)' }],
    tests: ['test/indexer/flaws.test.ts', 'test/indexer/live-source.test.ts', 'test/indexer/indexer.test.ts'],
  },
  {
    name: 'what cannot be read counts as absent',
    patches: [
      {
        file: 'src/indexer/diff.ts',
        find: 'if (!visible.has(message) && (tail.complete || present.has(message))) removed.push({ message, row })',
        replace:
          'if (!visible.has(message) || (present.has(message) && !tail.messages.some(({ key }) => key.message === message) && !tail.complete)) removed.push({ message, row })',
      },
    ],
    tests: ['test/indexer/diff.test.ts', 'test/indexer/session-source.test.ts'],
  },
  {
    name: 'a message that is still written counts as settled',
    patches: [{ file: 'src/indexer/diff.ts', find: "if (verdict === 'volatile') {", replace: "if (verdict === 'volatile' && now < 0) {" }],
    tests: ['test/indexer/diff.test.ts', 'test/indexer/indexer.test.ts'],
  },
  {
    name: 'a chunk that was put aside counts as held',
    patches: [
      {
        file: 'src/indexer/sending.ts',
        find: 'ledger: record.ledger.map((entry) => withoutChunks(entry, rows)),',
        replace: 'ledger: record.ledger.filter((entry) => withoutChunks(entry, rows) !== undefined),',
      },
    ],
    tests: ['test/indexer/sending.test.ts'],
  },
  {
    name: 'vectors of all spaces share the cache',
    patches: [
      {
        file: 'src/indexer/embedding/embed-cache.ts',
        find: 'for (const part of [space, kind, text])',
        replace: 'for (const part of [space.slice(0, 0), kind, text])',
      },
    ],
    tests: ['test/indexer/embed-cache.test.ts', 'test/indexer/dedup.test.ts', 'test/indexer/spaces.test.ts'],
  },
  {
    name: 'exclusions are asked for once',
    patches: [
      {
        file: 'src/indexer/index-session.ts',
        find: 'const isOut = (): boolean => isExcluded(engine.exclude(), tail.meta, engine.parents)',
        replace: 'const exclusion = engine.exclude()\n    const isOut = (): boolean => isExcluded(exclusion, tail.meta, engine.parents)',
      },
      {
        file: 'src/indexer/sending.ts',
        find: '  const exclusion = engine.exclude()\n  return claim.gone ||',
        replace: '  const exclusion: ReturnType<Engine["exclude"]> = {}\n  return claim.gone ||',
      },
    ],
    tests: ['test/indexer/exclude.test.ts'],
  },
  {
    name: 'a record that does not check is thrown away',
    patches: [
      {
        file: 'src/indexer/index-session.ts',
        find: 'await engine.state.quarantine(claim, seq)',
        replace: 'await engine.state.forget(claim, [])',
      },
    ],
    tests: ['test/indexer/flaws.test.ts', 'test/indexer/indexer.test.ts'],
  },
  {
    name: 'a commit and the end of its record are two steps',
    patches: [
      {
        file: 'src/indexer/state/lmdb/records.ts',
        find: 'const rest = wal === undefined ? row : dropPending(t, row)',
        replace: 'const rest = wal === undefined || wal.replayed === false ? row : dropPending(t, row)',
      },
    ],
    tests: ['test/indexer/lmdb-state.test.ts'],
  },
  {
    name: 'the other space takes over while sessions lack it',
    patches: [
      {
        file: 'src/indexer/state/lmdb/spaces.ts',
        find: 'if (building === undefined || toRebuild(t) > 0) return undefined',
        replace: 'if (building === undefined) return undefined',
      },
    ],
    tests: ['test/indexer/lmdb-state.test.ts'],
  },
]
