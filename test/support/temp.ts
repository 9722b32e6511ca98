/** A folder for one test, gone when its scope ends. */
import { chmodSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface TempFolder extends Disposable {
  readonly path: string
}

export function tempFolder(): TempFolder {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'spanleaf-test-')))
  chmodSync(path, 0o755) // children that run as another user look in
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}
