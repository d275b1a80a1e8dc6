/* flights: see the header. */
#include "flights.h"

#include <assert.h>

static size_t place(const struct flights *flights, size_t index)
{
    return (flights->first + index) % CREDITS_MAX;
}

void flights_add(struct flights *flights, const struct flight *flight)
{
    assert(flights->count < CREDITS_MAX);
    flights->ring[place(flights, flights->count)] = *flight;
    flights->count++;
    flights->bytes += flight->bytes;
}

const struct flight *flights_oldest(const struct flights *flights)
{
    return flights->count > 0 ? &flights->ring[flights->first] : NULL;
}

size_t flights_take(struct flights *flights, uint64_t number, struct flight *taken)
{
    size_t index = 0;
    while (index < flights->count && flights->ring[place(flights, index)].number < number)
        index++;
    if (index == flights->count || flights->ring[place(flights, index)].number != number)
        return 0;
    for (size_t i = 0; i <= index; i++)
        flights->bytes -= flights->ring[place(flights, i)].bytes;
    *taken = flights->ring[place(flights, index)];
    flights->first = place(flights, index + 1);
    flights->count -= index + 1;
    return index + 1;
}

size_t flights_clear(struct flights *flights)
{
    size_t count = flights->count;
    flights->count = flights->bytes = 0;
    return count;
}
