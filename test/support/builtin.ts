/** Functions of Node's own modules, replaced for a while. Test files share loaded modules, so a mocked module would come too late. */
import { syncBuiltinESMExports } from 'node:module'

/** `module` is the default import of a module of Node. Whoever imported the function calls `stand` until it is disposed of. */
export function replaced<M extends object, K extends keyof M>(module: M, name: K, stand: (real: M[K]) => M[K]): Disposable {
  const real = module[name]
  module[name] = stand(real)
  syncBuiltinESMExports()
  return {
    [Symbol.dispose]() {
      module[name] = real
      syncBuiltinESMExports()
    },
  }
}
