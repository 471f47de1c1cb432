/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>
#include <base/slice.h>
#include <provider/common.h>

static bool listed(const char *const *list, uint32_t count, const char *what)
{
        for (uint32_t i = 0; i < count; i++)
                if (strcmp(list[i], what) == 0)
                        return true;
        return false;
}

int mv__provider_gate(const struct mv_run *run, struct mv_err *err)
{
        if (!run->capability_id ||
            listed(run->permissions, run->permissions_count, run->capability_id))
                return 0;
        char list[256];
        size_t at = 0;
        list[0] = 0;
        for (uint32_t i = 0; i < run->permissions_count; i++)
                at += mv_fmt(list + at, sizeof list - at, "%s\"%s\"", i ? ", " : "",
                             run->permissions[i]);
        return mv_fail(err, MV_E_DENIED, 0,
                       "Boundary validation failed - capability not in permissions: [%s]; asked "
                       "for %s, which a token "
                       "that names it would allow",
                       list, run->capability_id);
}

static const struct mv_value *config_get(const struct mv_value *config, const char *key)
{
        return config ? mv_map_get(config, key) : NULL;
}

int mv__config_keys(const struct mv_value *config, const char *const *known, struct mv_err *err)
{
        if (!config)
                return 0;
        if (config->kind != MV_MAP)
                return mv_fail(err, MV_E_INVALID, 0, "configuration is a %s, not a map",
                               mv_kind_name(config->kind));
        for (uint32_t i = 0; i < config->count; i++) {
                struct mv_slice key = { 0 };
                bool found = false;
                mv_as_text(&config->entries[i].key, &key);
                for (const char *const *k = known; *k && !found; k++)
                        found = mv_slice_eq_str(key, *k);
                if (!found)
                        return mv_fail(err, MV_E_INVALID, 0, "configuration has no key '%.*s'",
                                       MV_SARG(key));
        }
        return 0;
}

int mv__config_int(const struct mv_value *config, const char *key, int64_t min, int64_t max,
                   int64_t *ret, struct mv_err *err)
{
        const struct mv_value *v = config_get(config, key);
        int64_t n;
        if (!v)
                return 0;
        if (!mv_as_int(v, &n))
                return mv_fail(err, MV_E_INVALID, 0,
                               "configuration: %s is a %s, not an integer of %lld to %lld", key,
                               mv_kind_name(v->kind), (long long)min, (long long)max);
        if (n < min || n > max)
                return mv_fail(err, MV_E_INVALID, 0,
                               "configuration: %s is %lld; it may be %lld to %lld", key,
                               (long long)n, (long long)min, (long long)max);
        *ret = n;
        return 0;
}

int mv__config_choice(const struct mv_value *config, const char *key, const char *const *choices,
                      unsigned *ret_index, struct mv_err *err)
{
        const struct mv_value *v = config_get(config, key);
        struct mv_slice text = { 0 };
        char list[128];
        size_t at = 0;
        if (!v)
                return 0;
        bool is_text = mv_as_text(v, &text);
        for (unsigned i = 0; choices[i]; i++) {
                if (is_text && mv_slice_eq_str(text, choices[i])) {
                        *ret_index = i;
                        return 0;
                }
                at += mv_fmt(list + at, sizeof list - at, "%s%s", i ? ", " : "", choices[i]);
        }
        return mv_fail(err, MV_E_INVALID, 0, "configuration: %s is '%.*s'; it may be %s", key,
                       MV_SARG(text), list);
}
