// SPDX-License-Identifier: Apache-2.0
// Visiting events by kind so that a forgotten kind does not compile: a visitor handles each alternative of Payload, or lists it
// among those that it leaves alone.
//
//   std::visit(Overloaded{[&](const PageScan& e) { ... }, LeaveAlone<Stack, Loss, ...>{}}, event.payload);
#pragma once

namespace memwhy::events {

template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;

template <typename Event>
struct LeaveOneAlone {
  void operator()(const Event& /*event*/) const {}
};
template <typename... Event>
struct LeaveAlone : LeaveOneAlone<Event>... {
  using LeaveOneAlone<Event>::operator()...;
};

}  // namespace memwhy::events
