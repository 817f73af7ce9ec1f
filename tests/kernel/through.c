/* SPDX-License-Identifier: Apache-2.0 */
/* A library of one function, which calls another from a frame of ROOM bytes. Two of them differ in that frame and in nothing
 * else: at one address, a rule of the one leads astray in the other. *what becomes the address that it returns to. */
void through(void (*call)(char*, void*), char* page, void* what) {
  char room[ROOM];

  *(void**)what = __builtin_return_address(0);
  __asm__ volatile("" ::"r"(room) : "memory");
  call(page, what);
  __asm__ volatile("" ::"r"(room) : "memory");
}
