# MAILHAUL_ADD_CFLAGS(FLAGS): to MAILHAUL_CFLAGS, those that the compiler takes.
AC_DEFUN([MAILHAUL_ADD_CFLAGS], [
for flag in $1; do
	AC_MSG_CHECKING([whether $CC accepts $flag])
	saved_CFLAGS=$CFLAGS
	CFLAGS="$flag -Werror"
	AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
		[AC_MSG_RESULT([yes])
		 MAILHAUL_CFLAGS="$MAILHAUL_CFLAGS $flag"],
		[AC_MSG_RESULT([no])])
	CFLAGS=$saved_CFLAGS
done
])

# MAILHAUL_ADD_LDFLAGS(FLAGS): to MAILHAUL_LDFLAGS, those that the linker takes.
AC_DEFUN([MAILHAUL_ADD_LDFLAGS], [
for flag in $1; do
	AC_MSG_CHECKING([whether $CC links with $flag])
	saved_LDFLAGS=$LDFLAGS
	saved_CFLAGS=$CFLAGS
	CFLAGS="-fPIE -Werror"
	LDFLAGS="$flag"
	AC_LINK_IFELSE([AC_LANG_PROGRAM()],
		[AC_MSG_RESULT([yes])
		 MAILHAUL_LDFLAGS="$MAILHAUL_LDFLAGS $flag"],
		[AC_MSG_RESULT([no])])
	LDFLAGS=$saved_LDFLAGS
	CFLAGS=$saved_CFLAGS
done
])
