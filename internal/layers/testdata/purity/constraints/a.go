package constraints

import (
	"crypto/rand"
	"log"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"sync/atomic"
	clock "time"
)

var line slog.Attr // data: allowed

func a(t clock.Time) clock.Duration {
	go a(t)
	slog.Info("a")
	return clock.Since(t)
}
