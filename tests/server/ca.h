/*
 * ca.h - a throwaway CA and the certificates, good and bad, that tests need.
 */
#pragma once

#include "note.h"

/* Makes DIR/ca.pem and DIR/NAME.pem with NAME.key for each certificate. */
int ca_make(const char *dir, struct failure *failure);
