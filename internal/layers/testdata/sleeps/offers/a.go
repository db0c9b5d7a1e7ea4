package offers

import "time"

func a() { time.Sleep(time.Second) }
