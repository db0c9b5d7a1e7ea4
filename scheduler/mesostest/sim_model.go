package mesostest

import "time"

// What a [SimModel] may do in the world.

// Model is what SimConfig.Model has made.
func (w *World) Model() SimModel { return w.model }

// After does something later, in virtual time. It is for models.
func (w *World) After(d time.Duration, do func()) { w.after(max(d, 0), do) }

// Luck is a number that depends on the seed and the words, and on nothing else.
func (w *World) Luck(words ...string) uint64 { return w.luck(words...) }

// Say adds a line to the history.
func (w *World) Say(format string, args ...any) { w.say(format, args...) }
