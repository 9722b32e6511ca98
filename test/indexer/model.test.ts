/** Anything may happen, in any order: afterwards the index holds what the sessions say. Longer runs: SPANLEAF_MODEL_RUNS=2000. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { carryOut } from '../support/model-act.js'
import { type Command, commandArbitrary } from '../support/model-commands.js'
import { Host, type HostOptions } from '../support/model-host.js'
import { brokenAtRest, comeToRest, Invariants, observable, wronglyPutAside } from '../support/model-invariants.js'
import type { ModelPlace } from '../support/model-place.js'
import { lmdbPlace, memoryPlace } from '../support/model-places.js'

const RUNS = Number(process.env.SPANLEAF_MODEL_RUNS ?? 48)

interface Scenario extends HostOptions {
  readonly scan: boolean
  readonly commands: readonly Command[]
}

function scenarios(maxCommands: number, concurrency: readonly number[], late: fc.Arbitrary<boolean>): fc.Arbitrary<Scenario> {
  return fc.boolean().chain((scan) =>
    fc.record({
      scan: fc.constant(scan),
      cache: fc.boolean(),
      walEnabled: fc.constantFrom(true, true, true, false),
      concurrency: fc.constantFrom(...concurrency),
      late,
      commands: fc.array(commandArbitrary({ scan }), { minLength: 5, maxLength: maxCommands, size: 'max' }),
    }),
  )
}

/** The same on each of the places; after every command they must all show the same. */
async function play(places: readonly ModelPlace[], scenario: Scenario): Promise<void> {
  const hosts = places.map((place) => new Host(place, scenario))
  try {
    for (const host of hosts) await host.begin()
    const checks = new Map(hosts.map((host) => [host, new Invariants(host)]))
    for (const [at, command] of scenario.commands.entries()) {
      await eachOf(hosts, `after command ${at}, ${JSON.stringify(command)}`, async (host) => {
        const end = await carryOut(host, command)
        return { end, broken: checks.get(host)?.check() }
      })
    }
    await eachOf(hosts, 'at rest', async (host) => {
      await comeToRest(host, scenario)
      return { end: '', broken: [...(checks.get(host)?.check() ?? []), ...brokenAtRest(host), ...wronglyPutAside(host)] }
    })
    await eachOf(hosts, 'at rest, with everything cured', async (host) => {
      host.weather.cured = true
      host.witness.excuse()
      await host.observer.retryDead()
      await comeToRest(host, scenario)
      return { end: '', broken: [...(checks.get(host)?.check() ?? []), ...brokenAtRest(host)] }
    })
  } finally {
    for (const host of hosts) await host[Symbol.asyncDispose]()
  }
}

interface Step {
  readonly end: string
  readonly broken: readonly string[] | undefined
}

async function eachOf(hosts: readonly Host[], when: string, step: (host: Host) => Promise<Step>): Promise<void> {
  let first: unknown
  for (const host of hosts) {
    const { end, broken } = await step(host)
    expect(broken, `${when}, which ended with ${end}, on ${host.place.name}`).toEqual([])
    const shown = hosts.length === 1 ? undefined : { end, ...observable(host) }
    first ??= shown
    expect(shown, `${when}: ${host.place.name} (received) and ${hosts[0]?.place.name} (expected)`).toEqual(first)
  }
}

const SLOW = { timeout: 3_600_000 }

describe('the engine', () => {
  it('on the state in memory comes to rest with what the sessions say, whatever happens', SLOW, async () => {
    await fc.assert(
      fc.asyncProperty(scenarios(40, [1, 2], fc.boolean()), (scenario) => play([memoryPlace()], scenario)),
      { numRuns: RUNS },
    )
  })

  it('on the states in memory and in LMDB does the same, step by step', SLOW, async () => {
    const property = fc.asyncProperty(scenarios(25, [1], fc.constant(false)), async (scenario) => play([memoryPlace(), await lmdbPlace()], scenario))
    await fc.assert(property, { numRuns: Math.ceil(RUNS / 6) })
  })
})
