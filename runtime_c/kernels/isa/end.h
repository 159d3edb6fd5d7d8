/* end.h - closes what another header of this folder opened. */
#if VL > 4 || (VL == 4 && defined __arm__)
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

#undef NAME
#undef ISA
#undef VL
#undef TARGET
#undef V
#undef VI
#undef VM
#undef v_load
#undef v_store
#undef v_mask
#undef v_load_some
#undef v_store_some
#undef v_loadi
#undef v_storei
#undef v_set1
#undef v_seti
#undef v_fma
#undef v_first
#undef v_quad
#undef v_fma_lane
#undef v_min
#undef v_max
#undef v_sqrt
#undef v_round
#undef v_floor
#undef v_trunc
#undef v_eq
#undef v_lt
#undef v_le
#undef v_select
#undef v_any
#undef v_bits
#undef v_float
#undef v_to_int
#undef v_to_float
