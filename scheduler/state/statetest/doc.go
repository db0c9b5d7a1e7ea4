// Package statetest holds implementations of [state.Store] to its contract.
//
// An implementation runs the whole suite in one test:
//
//	func TestStore(t *testing.T) {
//		statetest.Run(t, func(t *testing.T) statetest.Place {
//			dir := t.TempDir()
//			return statetest.Place{
//				Exclusive: true,
//				Open:      func() (state.Store, error) { return state.OpenFile(dir) },
//			}
//		})
//	}
package statetest
