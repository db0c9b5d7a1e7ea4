module github.com/mesokit/mesokit

go 1.26.0
