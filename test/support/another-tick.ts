/** The clock that files are stamped by may stand for ten milliseconds: what is written in one of its ticks all bears one time. */
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempFolder } from './temp.js'

/** Until that clock goes on. What is written afterwards bears another time than what was seen before, also for a look that is sure of all times. */
export function anotherTick(): void {
  using folder = tempFolder()
  const path = join(folder.path, 'stamp')
  const stamp = (): number => {
    writeFileSync(path, '')
    return statSync(path).mtimeMs
  }
  const first = stamp()
  while (stamp() === first);
}
