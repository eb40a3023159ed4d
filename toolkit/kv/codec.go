package kv

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
)

// Codec turns values into bytes and back.
type Codec[T any] interface {
	Marshal(v T) ([]byte, error)
	Unmarshal(b []byte) (T, error) // b is borrowed
}

// JSON is the default codec, of keys and of values.
type JSON[T any] struct{}

// Marshal implements Codec.
func (JSON[T]) Marshal(v T) ([]byte, error) { return json.Marshal(v) }

// Unmarshal implements Codec.
func (JSON[T]) Unmarshal(b []byte) (v T, err error) {
	err = json.Unmarshal(b, &v) // apart: the language does not say whether a call or v comes first in a return
	return v, err
}

// Gob is encoding/gob: for values that JSON does not take. It is no codec for keys, since
// it may encode equal ones differently.
type Gob[T any] struct{}

// Marshal implements Codec.
func (Gob[T]) Marshal(v T) ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(v)
	return b.Bytes(), err
}

// Unmarshal implements Codec.
func (Gob[T]) Unmarshal(b []byte) (v T, err error) {
	err = gob.NewDecoder(bytes.NewReader(b)).Decode(&v)
	return v, err
}
