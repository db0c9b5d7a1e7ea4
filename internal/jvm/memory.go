package jvm

import "fmt"

// CheckMemory refuses a heap that is too small for a server to start with, or that
// leaves too little of the memory for what a process needs beside it. All are in
// MiB; what says which fields these are, such as "Cluster.".
func CheckMemory(what string, mem, heap, least, beside int) error {
	switch {
	case mem < least+beside:
		return fmt.Errorf("%sMem: %d: wants %d MiB or more: it does not start with less", what, mem, least+beside)
	case heap < least:
		return fmt.Errorf("%sHeap: %d: wants %d MiB or more: it does not start with less", what, heap, least)
	case heap+beside > mem:
		return fmt.Errorf("%sHeap: %d: wants at most %d MiB, which is Mem (%d) less the %d that is needed beside the heap", what, heap, mem-beside, mem, beside)
	}
	return nil
}
