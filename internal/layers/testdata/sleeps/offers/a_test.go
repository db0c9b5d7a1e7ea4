package offers

import (
	"testing"
	"time"
)

func TestA(t *testing.T) {
	time.Sleep(time.Second)
	<-time.After(time.Second)
}
