/** What every IndexStore must do. Run it on yours: `describeState('mine', place)`, where `place().open` joins the state that the place names. */
import { describe } from 'vitest'
import { describeCutOver } from './state-cutover.js'
import { describeDead } from './state-dead.js'
import { describeLeases } from './state-leases.js'
import { describeQueue } from './state-queue.js'
import { describeRecords } from './state-records.js'
import { describeSpaces } from './state-spaces.js'
import { type StatePlace, stageOf } from './state-stage.js'
import { describeStatus } from './state-status.js'
import { describeLateWriters } from './state-suspects.js'
import { describeWakes } from './state-wakes.js'

export { A, claimed, ledgerRow, type StatePlace, type StateSettings, walRecord } from './state-stage.js'

export function describeState(name: string, place: () => StatePlace): void {
  describe(`${name} state`, () => {
    const stage = stageOf(place)
    describeQueue(stage)
    describeWakes(stage)
    describeLeases(stage)
    describeLateWriters(stage)
    describeRecords(stage)
    describe('dead letters', () => describeDead(stage))
    describe('spaces', () => describeSpaces(stage))
    describe('cutting over', () => describeCutOver(stage))
    describe('status', () => describeStatus(stage))
  })
}
