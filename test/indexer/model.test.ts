/** Anything may happen, in any order: afterwards the index holds what the sessions say. Longer runs: SPANLEAF_MODEL_RUNS=2000. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Command, carryOut, commandArbitrary } from '../support/model-commands.js'
import { Host, type HostOptions, type ModelPlace } from '../support/model-host.js'
import { brokenAtRest, comeToRest, Invariants, wronglyPutAside } from '../support/model-invariants.js'
import { memoryPlace } from '../support/model-places.js'

const RUNS = Number(process.env.SPANLEAF_MODEL_RUNS ?? 60)

interface Scenario extends HostOptions {
  readonly scan: boolean
  readonly commands: readonly Command[]
}

function scenarios(maxCommands: number): fc.Arbitrary<Scenario> {
  return fc.boolean().chain((scan) =>
    fc.record({
      scan: fc.constant(scan),
      cache: fc.boolean(),
      walEnabled: fc.constantFrom(true, true, true, false),
      commands: fc.array(commandArbitrary({ scan }), { minLength: 5, maxLength: maxCommands, size: 'max' }),
    }),
  )
}

async function play(place: ModelPlace, scenario: Scenario): Promise<void> {
  await using host = new Host(place, scenario)
  await host.begin()
  const invariants = new Invariants(host)
  for (const [at, command] of scenario.commands.entries()) {
    const end = await carryOut(host, command)
    expect(invariants.check(), `after command ${at}, ${JSON.stringify(command)}, which ended with ${end}`).toEqual([])
  }
  await comeToRest(host, scenario)
  expect([...invariants.check(), ...brokenAtRest(host), ...wronglyPutAside(host)], 'at rest').toEqual([])
  host.weather.cured = true
  await host.observer.retryDead()
  await comeToRest(host, scenario)
  expect([...invariants.check(), ...brokenAtRest(host)], 'at rest, with everything cured').toEqual([])
}

describe('the engine on the state in memory', () => {
  it('keeps its invariants whatever happens, and comes to rest with what the sessions say', { timeout: 600_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(scenarios(40), (scenario) => play(memoryPlace(), scenario)),
      { numRuns: RUNS },
    )
  })
})
